import type { ReauthenticationCause } from 'credstream';

import type { OAuthServerAddress } from '../oauth/oauth-server.js';

/** What an instance tells of its part in keeping a login valid. Nothing of the tokens but their end. */
export type LoginNews =
  /** It holds the lease, and is about to ask the provider. */
  | {
      readonly kind: 'calling';
      /** Instants are on the clock that all processes share. */
      readonly atMs: number;
      readonly attempt: number;
      readonly cause: ReauthenticationCause;
      readonly inDoubt: boolean;
    }
  /** The provider has answered it. */
  | { readonly kind: 'answered'; readonly atMs: number }
  /** It has new tokens, its own or those of another instance. */
  | {
      readonly kind: 'received';
      readonly atMs: number;
      readonly refreshed: 'by itself' | 'by another';
      /** End of the access token, in epoch milliseconds. */
      readonly expiresAt: number;
    };

/** How often an instance has asked for valid tokens, and what it was given. */
export interface Asked {
  readonly answers: number;
  readonly refusals: number;
  /** How long the shortest-lived token that it was given was still valid, in milliseconds. */
  readonly leastValidMs: number;
}

/** What an instance needs to take part. */
export interface LoginSettings {
  readonly oauthServer: OAuthServerAddress;
  readonly leaseMs: number;
  /** How long every token that it asks for has to be valid at least. */
  readonly minValidityMs: number;
}
