/** What a client of the provider has to know. */
export interface ProviderAddress {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
}

/**
 * How the token endpoint behaves towards whoever refreshes. `slow`: begins to work on it only after a while · `lost`: works on it, and keeps
 * the answer until told otherwise · `down`: answers 500 without working on it · `same`: answers what it answered last.
 */
export type Behavior =
  | { readonly type: 'normal' | 'lost' | 'down' | 'same' }
  | { readonly type: 'slow'; readonly ms: number };

/** One request that wanted to refresh, in the order of arrival. */
export interface RefreshCall {
  /** Epoch milliseconds. */
  readonly at: number;
  /** `spent`: worked on, and nobody has got the answer yet. */
  outcome: 'pending' | 'spent' | 'granted' | 'invalid_grant' | 'down' | 'same' | 'gone';
}

/** What the provider is told. */
export type ProviderOrder = { readonly id: number } & (
  | {
      readonly does: 'behave';
      readonly behavior?: Behavior;
      /** How long access tokens last, in whole seconds; the provider counts in nothing smaller. */
      readonly tokenSeconds?: number;
      /** From this refresh since the last reset on they last for long. */
      readonly shortLived?: number;
      readonly rotation?: boolean;
    }
  /** Forgets what it has counted, and is normal again. */
  | { readonly does: 'reset' }
  | { readonly does: 'report' }
  /** Somebody has revoked all grants. */
  | { readonly does: 'revoke' }
  /** All access tokens are refused from now on; refresh tokens stay good. */
  | { readonly does: 'revoke-access' }
  /** Nothing listens on its port any longer, or again. */
  | { readonly does: 'vanish' | 'return' }
);

/** What it has seen since the last reset. */
export interface ProviderReport {
  readonly calls: readonly RefreshCall[];
  /** Grants that the provider itself has revoked, because a refresh token was used twice. */
  readonly revoked: number;
}

export type ProviderMessage =
  | { readonly type: 'address'; readonly address: ProviderAddress }
  | { readonly type: 'done'; readonly id: number; readonly report: ProviderReport };
