export type { ClearableCache, KeyedCache } from './derived/invalidation/cache-target.js';
export { derive } from './derived/derive.js';
export { deriveEach, type DeriveEachOptions, type DerivedPool } from './derived/derive-each.js';
export type { DeriveContext, DeriveOptions } from './derived/options.js';
export type { Derived, DerivedWaitOptions } from './derived/derived.js';
export type {
  BuildingDerivedState,
  ClosedDerivedState,
  DerivedState,
  FailedDerivedState,
  IdleDerivedState,
  ReadyDerivedState,
} from './derived/state.js';
export { invalidate } from './derived/invalidation/invalidate.js';
export type { InvalidateOptions } from './derived/invalidation/options.js';
export type { Invalidation } from './derived/invalidation/cache-invalidation.js';
export type { ObservableCredentialStore } from './stores/observable-credential-store.js';
export type { ObservableCredentials } from './stores/observable-credentials.js';
export { systemClock, type Clock } from './time/clock.js';
export { jsonCodec, type CredentialCodec, type StandardSchema } from './credential/codec.js';
export type {
  ClearedChange,
  CredentialChange,
  CredentialChangeType,
  EvictedChange,
  ExpiredChange,
  RenewedChange,
  SavedChange,
  UnreadableChange,
} from './credential/change.js';
export type { ChangeOrigin, ChangeSource } from './credential/origin.js';
export type { CredentialSnapshot } from './credential/snapshot.js';
export { WithdrawnError, type WithdrawalChange } from './credential/withdrawal.js';
export type {
  AbsentState,
  CredentialState,
  ExpiredState,
  PresentState,
  UnknownState,
  UnreadableState,
  WithheldState,
} from './credential/state.js';
export type {
  ClearOptions,
  CredentialEvents,
  CredentialStore,
  ReadyOptions,
  SaveOptions,
  SaveReceipt,
  UpdateContext,
  UpdateOptions,
  UpdateReceipt,
} from './credential/contract.js';
export type { CredentialDirectory } from './stores/directory/credential-directory.js';
export type {
  ClearAllFailure,
  ClearAllOptions,
  ClearAllProgress,
  ClearAllReceipt,
  DirectoryEvents,
} from './stores/directory/contract.js';
export type { CredentialDirectoryOptions } from './stores/directory/options.js';
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
  type ReauthenticationFailureDetails,
  type UnreadableReason,
} from './errors.js';
export { CredentialMemory, type CredentialMemoryOptions } from './memory/credential-memory.js';
export {
  MemoryCredentialDirectory,
  type MemoryCredentialDirectoryOptions,
} from './memory/directory.js';
export { MemoryCredentialStore, type MemoryCredentialStoreOptions } from './memory/store.js';
export type {
  AttemptRequest,
  CredentialsOptions,
  DiscardReason,
  LoginRequest,
  ReauthenticatorOptions,
  RefreshRequest,
  UseContext,
  UseOptions,
} from './reauthentication/options.js';
export type {
  ReauthenticationAbsent,
  ReauthenticationAuthenticating,
  ReauthenticationBackingOff,
  ReauthenticationCause,
  ReauthenticationClosed,
  ReauthenticationCounts,
  ReauthenticationFailed,
  ReauthenticationHalted,
  ReauthenticationIdle,
  ReauthenticationState,
  ReauthenticationWaiting,
} from './reauthentication/state.js';
export {
  authorizedFetch,
  type AuthorizedFetchOptions,
  type CredentialLender,
} from './reauthentication/calls/authorized-fetch.js';
export { ReauthenticatorPool, type ReauthenticatorPoolOptions } from './reauthentication/pool.js';
export { Reauthenticator } from './reauthentication/reauthenticator.js';
export {
  RedisCredentialDirectory,
  type RedisCredentialDirectoryOptions,
} from './redis/directory.js';
export { RedisCredentialStore, type RedisCredentialStoreOptions } from './redis/store.js';
export type { RedisConnectionOptions } from './redis/connection-options.js';
export type { CredentialStoreOptions } from './stores/options.js';
export type { CallbackErrorHandler } from './util/callbacks.js';
export type {
  LinkStatus,
  NotificationMode,
  ScriptCommand,
  StoreStatus,
} from './credential/status.js';
