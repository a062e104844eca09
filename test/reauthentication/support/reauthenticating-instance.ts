import { tracingChannel } from 'node:diagnostics_channel';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';

import { Redis } from 'ioredis';

import {
  type CredentialsOptions,
  type LoginRequest,
  type ReauthenticationState,
  Reauthenticator,
  RedisCredentialStore,
  type RefreshRequest,
} from 'credstream';

import { type Deferred, deferred } from '../../support/wait.js';
import type {
  Gate,
  InstanceAnswers,
  InstanceEvent,
  InstanceSettings,
  TokenError,
} from './instance-protocol.js';
import { OAuthClient, type Tokens } from './oauth-client.js';

/** Between two askings of one process, so that four of them leave something of the processor. */
const ASK_PAUSE_MS = 10;

/** What runs in a process of the cluster. */
export class ReauthenticatingInstance {
  readonly #settings: InstanceSettings;
  readonly #say: (event: InstanceEvent) => void;
  readonly #client: OAuthClient;
  readonly #redis: Redis;
  readonly #store: RedisCredentialStore<Tokens>;
  readonly #auth: Reauthenticator<Tokens>;
  readonly #shut = new Map<Gate, Deferred<void>>();
  #asking: { stopped: boolean; readonly done: Promise<InstanceAnswers['stop-asking']> } | undefined;

  static async open(
    settings: InstanceSettings,
    say: (event: InstanceEvent) => void,
  ): Promise<ReauthenticatingInstance> {
    const client = await OAuthClient.open(settings.provider);
    const instance = new ReauthenticatingInstance(settings, say, client);
    if (settings.traced === true) instance.#trace();
    await instance.#store.ready({ timeoutMs: 20_000 });
    return instance;
  }

  private constructor(
    settings: InstanceSettings,
    say: (event: InstanceEvent) => void,
    client: OAuthClient,
  ) {
    this.#settings = settings;
    this.#say = say;
    this.#client = client;
    for (const gate of settings.gates ?? []) this.#shut.set(gate, deferred());
    const { username, password } = settings;
    this.#redis = new Redis(settings.redisUrl, {
      lazyConnect: true,
      retryStrategy: () => 50,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
    });
    this.#redis.on('error', () => {});
    this.#store = new RedisCredentialStore<Tokens>(this.#redis, {
      key: settings.key,
      expiresAt: ({ expiresAt }) => expiresAt,
      ...settings.store,
    });
    this.#auth = new Reauthenticator(this.#store, {
      refresh: (request) => this.#refresh(request),
      login: async (request) => {
        await this.#gate('before', request);
        throw new Error('somebody has to log in');
      },
      onDiscarded: ({ accessToken }, reason) => {
        say({ type: 'discarded', reason, token: accessToken });
      },
      onFailure: (error, fatal) => {
        say({ type: 'failure', message: String(error), fatal });
      },
      ...settings.reauthenticator,
    });
    this.#auth.state$.subscribe((state) => say(told(state)));
  }

  async #refresh(request: RefreshRequest<Tokens>): Promise<Tokens> {
    const { previous, signal } = request;
    signal.addEventListener('abort', () => {
      this.#say({ type: 'aborted', why: String(signal.reason) });
    });
    await this.#gate('before', request);
    const { deaf = false, marginMs } = this.#settings;
    if (!deaf) signal.throwIfAborted();
    const { refreshToken } = previous;
    const tokens = await this.#client.refresh(refreshToken, deaf ? undefined : signal, marginMs);
    await this.#gate('after', request);
    // What the provider gave before, it gave for the time that was told then.
    return tokens.accessToken === previous.accessToken ? previous : tokens;
  }

  async #gate(at: Gate, request: RefreshRequest<Tokens> | LoginRequest): Promise<void> {
    const shut = this.#shut.get(at);
    if (shut === undefined) return;
    const { attempt, cause, inDoubt, signal } = request;
    this.#say({
      type: 'gate',
      at,
      attempt,
      cause,
      inDoubt,
      aborted: signal.aborted,
    });
    await shut.promise;
  }

  pass(at?: Gate): void {
    for (const [gate, { resolve }] of this.#shut) if (at === undefined || at === gate) resolve();
  }

  ask(minValidityMs: number): void {
    const asking = { stopped: false };
    const done = this.#askAll(minValidityMs, asking);
    this.#asking = Object.assign(asking, { done });
  }

  async stopAsking(): Promise<InstanceAnswers['stop-asking']> {
    if (this.#asking === undefined) throw new Error('it does not ask');
    this.#asking.stopped = true;
    return this.#asking.done;
  }

  async #askAll(
    minValidityMs: number,
    asking: { readonly stopped: boolean },
  ): Promise<InstanceAnswers['stop-asking']> {
    const [tokens, errors, refused]: [string[], string[], string[]] = [[], [], []];
    const uses: Promise<void>[] = [];
    let asks = 0;
    let spareMs = Infinity;
    for (let stopping = false; !stopping;) {
      // Once more after it was told to stop, so that the last answer is one from then.
      stopping = asking.stopped;
      asks += 1;
      try {
        const { accessToken, expiresAt } = await this.#auth.credentials({ minValidityMs });
        spareMs = Math.min(spareMs, (await this.#leftAtServer(expiresAt)) - minValidityMs);
        if (tokens.at(-1) !== accessToken) {
          tokens.push(accessToken);
          const use = this.#client.useAt(accessToken).then(({ status }) => {
            if (status !== 200) refused.push(accessToken);
          });
          uses.push(use);
        }
      } catch (error) {
        errors.push(String(error));
      }
      await delay(ASK_PAUSE_MS);
    }
    await Promise.all(uses);
    return { asks, spareMs, tokens, errors, refused };
  }

  /** How long it still lasted by Redis's clock when this was called, or up to a round trip longer. */
  async #leftAtServer(expiresAt: number): Promise<number> {
    const askedAt = performance.now();
    const [seconds, micros] = await this.#redis.time();
    const tookMs = performance.now() - askedAt;
    return expiresAt - (Number(seconds) * 1_000 + Number(micros) / 1_000) + tookMs;
  }

  async get(options: CredentialsOptions): Promise<InstanceAnswers['get']> {
    return this.#auth.credentials(options).then(
      ({ accessToken }) => ({ token: accessToken }),
      (error: unknown) => ({ error: described(error) }),
    );
  }

  async use(times: number): Promise<InstanceAnswers['use']> {
    const uses = Array.from({ length: times }, () =>
      this.#auth
        .use(({ accessToken }) => this.#client.useAt(accessToken))
        .then(
          ({ status }) => status,
          (error: unknown) => described(error).code,
        ),
    );
    return Promise.all(uses);
  }

  async reject(times: number): Promise<InstanceAnswers['reject']> {
    const snapshot = await this.#auth.snapshot();
    const reports = Array.from({ length: times }, () => this.#auth.reject(snapshot, 'HTTP 401'));
    return { current: reports.filter(Boolean).length };
  }

  view(): InstanceAnswers['view'] {
    const { link, notifications } = this.#store.status;
    return {
      state: this.#auth.state.type,
      counts: this.#auth.counts,
      current: this.#store.current?.credentials.accessToken,
      stored: this.#store.state.type,
      link,
      notifications,
    };
  }

  async close(): Promise<InstanceAnswers['close']> {
    const startedAt = performance.now();
    await this.#store.close();
    this.#redis.disconnect();
    return { tookMs: performance.now() - startedAt };
  }

  #trace(): void {
    for (const name of ['command', 'batch', 'connect']) {
      const listener = (context: unknown): void =>
        this.#say({ type: 'traced', shown: inspect(context, { depth: 8, maxStringLength: null }) });
      const events = { start: listener, end: listener, asyncStart: listener, error: listener };
      tracingChannel(`ioredis:${name}`).subscribe({ ...events, asyncEnd: listener });
    }
  }
}

function told(state: ReauthenticationState): InstanceEvent {
  const error = state.type === 'backing-off' ? state.error : undefined;
  return {
    type: 'state',
    state: state.type,
    oauthError: state.type === 'failed' ? state.oauthError : undefined,
    error: error?.code,
    reply: error !== undefined && 'reply' in error ? error.reply : undefined,
    shown: inspect(state, { depth: 8, showHidden: true }),
  };
}

function described(error: unknown): TokenError {
  const { code = String(error), reason, oauthError } = error as Partial<TokenError>;
  return { code, reason, oauthError };
}
