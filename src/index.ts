export type {
  CacheWithDel,
  CacheWithDelete,
  ClearableCache,
  KeyedCache,
} from './caching/cache-target.js';
export { derive } from './caching/derive.js';
export { deriveEach, type DeriveEachOptions, type DerivedPool } from './caching/derive-each.js';
export type { DeriveContext, DeriveOptions } from './caching/derive-options.js';
export type { Derived, DerivedWaitOptions } from './caching/derived.js';
export type {
  BuildingDerivedState,
  ClosedDerivedState,
  DerivedState,
  FailedDerivedState,
  IdleDerivedState,
  ReadyDerivedState,
} from './caching/derived-state.js';
export { invalidate } from './caching/invalidate.js';
export type { InvalidateOptions } from './caching/invalidate-options.js';
export type { Invalidation } from './caching/invalidation.js';
export type { BackedCredentialStore } from './backed-credential-store.js';
export { systemClock, type Clock } from './clock.js';
export {
  jsonCodec,
  type CredentialCodec,
  type CredentialSchema,
  type CredentialSchemaFailure,
  type CredentialSchemaProps,
  type CredentialSchemaResult,
  type CredentialSchemaSuccess,
  type CredentialSchemaTypes,
} from './codec.js';
export type {
  ChangeOrigin,
  ChangeSource,
  ClearedChange,
  CredentialChange,
  CredentialChangeBase,
  CredentialChangeType,
  EvictedChange,
  ExpiredChange,
  OtherNode,
  RenewedChange,
  SavedChange,
  UnreadableChange,
} from './credential-change.js';
export type { CredentialSnapshot } from './credential-snapshot.js';
export type {
  AbsentState,
  CredentialState,
  ExpiredState,
  PresentState,
  UnknownState,
  UnreadableState,
  WithheldState,
} from './credential-state.js';
export type {
  ClearOptions,
  CredentialEvents,
  CredentialStore,
  ObservableCredentialStore,
  ReadyOptions,
  SaveOptions,
  SaveReceipt,
  UpdateOptions,
  UpdateReceipt,
} from './credential-store.js';
export type { BackedCredentialDirectory } from './directory/backed-credential-directory.js';
export type {
  ClearAllFailure,
  ClearAllOptions,
  ClearAllProgress,
  ClearAllReceipt,
  CredentialDirectory,
  DirectoryEvents,
} from './directory/credential-directory.js';
export type { CredentialDirectoryOptions } from './directory/directory-options.js';
export {
  ClosedError,
  ConflictError,
  CredstreamError,
  EncodeError,
  InvalidOptionError,
  isCredstreamError,
  OutcomeUnknownError,
  ReauthenticationError,
  RefusedError,
  TimeoutError,
  UnavailableError,
  UnreadableError,
  type AnyCredstreamError,
  type CredstreamErrorCode,
  type EncodeFailure,
  type ReauthenticationFailure,
  type UnreadableReason,
} from './errors.js';
export { CredentialMemory, type CredentialMemoryOptions } from './memory/credential-memory.js';
export {
  MemoryCredentialDirectory,
  type MemoryCredentialDirectoryOptions,
} from './memory/memory-credential-directory.js';
export {
  MemoryCredentialStore,
  type MemoryCredentialStoreOptions,
} from './memory/memory-credential-store.js';
export type {
  AuthenticateRequest,
  AuthenticateRequestBase,
  CredentialsOptions,
  DiscardReason,
  ReauthenticatorOptions,
  UseContext,
  UseOptions,
} from './reauthentication/reauthentication-options.js';
export type {
  ReauthenticationAuthenticating,
  ReauthenticationBackingOff,
  ReauthenticationCause,
  ReauthenticationClosed,
  ReauthenticationCounts,
  ReauthenticationFailed,
  ReauthenticationIdle,
  ReauthenticationState,
  ReauthenticationWaiting,
} from './reauthentication/reauthentication-state.js';
export {
  ReauthenticatorPool,
  type ReauthenticatorPoolOptions,
} from './reauthentication/reauthenticator-pool.js';
export { Reauthenticator } from './reauthentication/reauthenticator.js';
export {
  RedisCredentialDirectory,
  type RedisCredentialDirectoryOptions,
} from './redis/redis-credential-directory.js';
export {
  RedisCredentialStore,
  type RedisCredentialStoreOptions,
} from './redis/redis-credential-store.js';
export type { RedisConnectionOptions } from './redis/redis-settings.js';
export type { CallbackErrorHandler, CredentialStoreOptions } from './store-options.js';
export type { LinkStatus, NotificationMode, StoreStatus } from './store-status.js';
