import type { DiscardReason, ReauthenticationCounts, ReauthenticationState } from 'credstream';
import type { ProviderAddress } from './provider-protocol.js';

/** Where `refresh` waits to be let through: before it calls the provider, or with what that answered in its hands. */
export type Gate = 'before' | 'after';

/** What an instance is made with. */
export interface InstanceSettings {
  readonly redisUrl: string;
  readonly username?: string;
  readonly password?: string;
  readonly key: string;
  readonly provider: ProviderAddress;
  /** Of the store: plain values only. */
  readonly store?: Readonly<Record<string, unknown>>;
  /** Of the reauthenticator: plain values only. */
  readonly reauthenticator?: Readonly<Record<string, unknown>>;
  readonly gates?: readonly Gate[];
  /** So much earlier than the provider says this client takes a token for ended. */
  readonly marginMs?: number;
  /** `refresh` does not care for its signal. */
  readonly deaf?: boolean;
  /** Says what `diagnostics_channel` shows of the commands of ioredis. */
  readonly traced?: boolean;
}

/** What an instance is told. */
export type InstanceOrder =
  | { readonly does: 'open'; readonly settings: InstanceSettings }
  /** Closes what was opened. */
  | { readonly does: 'close' }
  /** Asks for credentials all the time, and uses each at the provider once. */
  | { readonly does: 'ask'; readonly minValidityMs: number }
  | { readonly does: 'stop-asking' }
  | { readonly does: 'get'; readonly minValidityMs?: number; readonly timeoutMs?: number }
  /** Uses the credentials at the provider so many times at once, by `use()`. */
  | { readonly does: 'use'; readonly times: number }
  /** Reports the current credentials as refused so many times. */
  | { readonly does: 'reject'; readonly times: number }
  /** Opens this gate for good, or both. */
  | { readonly does: 'pass'; readonly at?: Gate }
  | { readonly does: 'view' };

/** What came of asking all the time. */
export interface Asked {
  readonly asks: number;
  /** By how much the shortest validity that was handed out exceeded what was asked for. */
  readonly spareMs: number;
  /** In the order in which they came. */
  readonly tokens: readonly string[];
  /** What `credentials()` rejected with. */
  readonly errors: readonly string[];
  /** Tokens that the provider did not accept. */
  readonly refused: readonly string[];
}

export interface TokenError {
  readonly code: string;
  readonly reason: string | undefined;
  readonly oauthError: string | undefined;
}

/** What an instance looks like from inside. */
export interface InstanceView {
  readonly state: ReauthenticationState['type'];
  readonly counts: ReauthenticationCounts;
  readonly current: string | undefined;
  readonly stored: string;
  readonly link: string;
  readonly notifications: string;
}

/** What an instance answers to an order; `undefined` is nothing to say. */
export interface InstanceAnswers {
  readonly open: undefined;
  readonly close: { readonly tookMs: number };
  readonly ask: undefined;
  readonly 'stop-asking': Asked;
  readonly get: { readonly token: string } | { readonly error: TokenError };
  /** The HTTP statuses that `use()` ended with, or codes of its errors. */
  readonly use: readonly (number | string)[];
  readonly reject: { readonly current: number };
  readonly pass: undefined;
  readonly view: InstanceView;
}

/** What an instance says by itself. */
export type InstanceEvent =
  | { readonly type: 'ready' }
  | {
      readonly type: 'gate';
      readonly at: Gate;
      readonly attempt: number;
      readonly cause: string;
      readonly inDoubt: boolean;
      readonly aborted: boolean;
    }
  | { readonly type: 'aborted'; readonly why: string }
  | { readonly type: 'discarded'; readonly reason: DiscardReason; readonly token: string }
  | { readonly type: 'failure'; readonly message: string; readonly fatal: boolean }
  | {
      readonly type: 'state';
      readonly state: ReauthenticationState['type'];
      readonly oauthError: string | undefined;
      readonly error: string | undefined;
      readonly reply: string | undefined;
      /** All of it, as anybody may look at it. */
      readonly shown: string;
    }
  | { readonly type: 'traced'; readonly shown: string }
  /** It was told to end, and has closed everything. */
  | { readonly type: 'ended'; readonly tookMs: number };

export type InstanceMessage =
  InstanceEvent | { readonly type: 'answer'; readonly id: number; readonly answer: unknown };

export type NumberedOrder = InstanceOrder & { readonly id: number };
