import type { ObservableCredentialStore } from 'credstream';

import type { Tokens } from '../../support/oauth-client.js';
import type { AccessToken } from '../access-token.js';
import type { DemoInstance } from '../instances/demo-instance.js';

/** An instant on the shared clock, and how far off it may be. */
export interface Deadline {
  readonly atMs: number;
  readonly uncertaintyMs: number;
}

/** A client that knows nothing of credstream: it writes what anybody may write, with plain commands. */
export interface OutsideClient {
  setex(seconds: number, value: string): Promise<void>;
  expire(seconds: number): Promise<void>;
  /** When the server will let the key expire. */
  deadline(): Promise<Deadline>;
}

/** What the scenes play on: one credential, an application that writes it, instances that watch it, and an outsider. */
export interface Stage extends AsyncDisposable {
  readonly key: string;
  /** The application's store. It watches nothing. */
  readonly store: ObservableCredentialStore<AccessToken>;
  /** The application's store of the tokens of a login, under a key of its own. */
  readonly logins: ObservableCredentialStore<Tokens>;
  readonly outside: OutsideClient;
  readonly instances: readonly DemoInstance[];
}
