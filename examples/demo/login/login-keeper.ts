import * as oauth from 'openid-client';

import {
  Reauthenticator,
  type MemoryCredentialStore,
  type RedisCredentialStore,
  type RefreshRequest,
} from 'credstream';

import { connectClient, tokensOf, type Tokens } from '../../support/oauth-client.js';
import { monotonicMs } from '../monotonic-clock.js';
import type { Asked, LoginNews, LoginSettings } from './login-news.js';

type TokenStore = RedisCredentialStore<Tokens> | MemoryCredentialStore<Tokens>;

/** How often each instance asks. */
const ASK_EVERY_MS = 20;

/** The part of one instance in keeping a login valid: it asks for tokens all the time, and refreshes them when it is the one. */
export class LoginKeeper {
  readonly #store: TokenStore;
  readonly #auth: Reauthenticator<Tokens>;
  readonly #asking: NodeJS.Timeout;
  readonly #minValidityMs: number;
  #asked: Asked = { answers: 0, refusals: 0, leastValidMs: Infinity };
  #gate = openGate();
  #stopped = false;

  /** Resolves when the store is live and holds tokens. */
  static async start(
    store: TokenStore,
    settings: LoginSettings,
    tell: (news: LoginNews) => void,
  ): Promise<LoginKeeper> {
    const client = await connectClient(settings.oauthServer);
    store.on('saved', ({ origin, credentials: { expiresAt } }) => {
      const refreshed = origin === 'self' ? 'by itself' : 'by another';
      tell({ kind: 'received', atMs: monotonicMs(), refreshed, expiresAt });
    });
    await store.ready();
    return new LoginKeeper(store, client, settings, tell);
  }

  private constructor(
    store: TokenStore,
    client: oauth.Configuration,
    { leaseMs, minValidityMs }: LoginSettings,
    tell: (news: LoginNews) => void,
  ) {
    const refresh = async (request: RefreshRequest<Tokens>): Promise<Tokens> => {
      const { previous, attempt, cause, inDoubt, signal } = request;
      tell({ kind: 'calling', atMs: monotonicMs(), attempt, cause, inDoubt });
      await this.#gate.passed;
      client[oauth.customFetch] = (url, options) =>
        fetch(url, { ...options, signal } as RequestInit);
      const tokens = tokensOf(await oauth.refreshTokenGrant(client, previous.refreshToken));
      tell({ kind: 'answered', atMs: monotonicMs() });
      return tokens;
    };
    this.#store = store;
    this.#auth = new Reauthenticator(store, { refresh, leadFraction: 0.5, leaseMs });
    this.#minValidityMs = minValidityMs;
    this.#asking = setInterval(() => void this.#ask(), ASK_EVERY_MS);
  }

  get asked(): Asked {
    return this.#asked;
  }

  /** While it is shut, an instance that holds the lease gets no further than to the door of the provider. */
  setGate(open: boolean): void {
    if (open) this.#gate.open();
    else this.#gate = shutGate();
  }

  /** Asks the API, and once more with another token should it answer 401. */
  async use(url: string): Promise<number> {
    const { status } = await this.#auth.use(async ({ accessToken }, { signal }) => {
      const headers = { authorization: `Bearer ${accessToken}` };
      const response = await fetch(url, { headers, signal });
      await response.body?.cancel();
      return response;
    });
    return status;
  }

  async #ask(): Promise<void> {
    try {
      const { expiresAt } = await this.#auth.credentials({ minValidityMs: this.#minValidityMs });
      const validMs = expiresAt - Date.now();
      const { answers, leastValidMs } = this.#asked;
      this.#asked = {
        ...this.#asked,
        answers: answers + 1,
        leastValidMs: Math.min(leastValidMs, validMs),
      };
    } catch {
      if (this.#stopped) return;
      this.#asked = { ...this.#asked, refusals: this.#asked.refusals + 1 };
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#asking);
    this.#gate.open();
    // Closes the reauthenticator first.
    await this.#store.close();
  }
}

interface Gate {
  readonly passed: Promise<void>;
  readonly open: () => void;
}

function shutGate(): Gate {
  let open!: () => void;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

function openGate(): Gate {
  const gate = shutGate();
  gate.open();
  return gate;
}
