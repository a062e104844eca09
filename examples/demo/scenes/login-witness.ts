import { eventually } from '../../../test/support/wait.js';
import type { LoginNews, LoginSettings } from '../login/login-news.js';
import { monotonicMs } from '../monotonic-clock.js';
import type { DemoInstance } from '../instances/demo-instance.js';
import type { OAuthServer } from '../oauth/oauth-server.js';
import type { Report } from '../report/demo-event.js';
import { DemoFailure } from './demo-failure.js';

type News<Kind extends LoginNews['kind']> = Extract<LoginNews, { kind: Kind }>;

/** An instance that holds the lease, and what it told when it was about to ask the provider. */
export interface Call {
  readonly instance: DemoInstance;
  readonly news: News<'calling'>;
}

const LEASE_MS = 1_500;
const MIN_VALIDITY_MS = 500;
/** By how much those that wait for the end of a lease come apart: a tenth of their wait at most. */
const SPREAD_MS = LEASE_MS / 10;
/** A token is refreshed after half of its time; that, and far more than a busy machine adds. */
const PATIENCE_MS = 30_000;
/** Beyond it nobody takes over any more: the lease has ended long ago, even on a busy machine. */
const TAKEOVER_PATIENCE_MS = LEASE_MS + SPREAD_MS + 8_000;

/** Sees to it that every end of the token costs one refresh, whoever dies, and that all who are left get what it brought. */
export class LoginWitness {
  readonly leaseMs: number = LEASE_MS;
  readonly #provider: OAuthServer;
  readonly #report: Report;
  #instances: readonly DemoInstance[];
  #userinfoUrl = '';
  /** How many refreshes there were before the first scene. */
  #earlier = 0;
  #refreshes = 0;
  /** How many calls each instance has told of that were seen. */
  readonly #calls = new Map<DemoInstance, number>();

  constructor(instances: readonly DemoInstance[], provider: OAuthServer, report: Report) {
    this.#instances = instances;
    this.#provider = provider;
    this.#report = report;
  }

  /** Saves the tokens of a login, and makes every instance one of those that keep it valid. */
  async begin(does: string, save: () => Promise<unknown>, userinfoUrl: string): Promise<void> {
    this.#report({ event: 'step', step: 'shared login', does });
    this.#userinfoUrl = userinfoUrl;
    this.#earlier = this.#provider.refreshes;
    await save();
    const settings: LoginSettings = {
      oauthServer: this.#provider.address,
      leaseMs: LEASE_MS,
      minValidityMs: MIN_VALIDITY_MS,
    };
    await Promise.all(this.#instances.map((instance) => instance.keepLogin(settings)));
  }

  /** From now on an instance that holds the lease gets no further than to the door of the provider. */
  async shutGates(): Promise<void> {
    await Promise.all(this.#instances.map((instance) => instance.setGate(false)));
  }

  /** The next instance that holds the lease. */
  async seeCall(): Promise<Call> {
    const call = await this.#nextCall(
      'the token was not refreshed: no instance has asked the provider',
      PATIENCE_MS,
    );
    this.#tell(call);
    return call;
  }

  /** Kills it, and resolves when another instance has taken over. */
  async seeTakeover(holder: DemoInstance): Promise<Call> {
    const killedAtMs = monotonicMs();
    await holder.kill?.();
    this.#report({ event: 'killed', instance: holder.name, refreshes: this.#seen });
    this.#instances = this.#instances.filter((instance) => instance !== holder);
    await Promise.all(this.#instances.map((instance) => instance.setGate(true)));
    const call = await this.#nextCall(
      'no instance has taken over from the one that was killed',
      TAKEOVER_PATIENCE_MS,
    );
    const { instance, news } = call;
    const afterMs = news.atMs - killedAtMs;
    const limits = { leaseMs: LEASE_MS, spreadMs: SPREAD_MS };
    this.#report({ event: 'took-over', instance: instance.name, afterMs, ...limits });
    this.#tell(call);
    if (!news.inDoubt)
      throw new DemoFailure(`${instance.name} was not told that somebody had died`);
    return call;
  }

  /** One refresh at the provider, asked for by this instance, and its tokens on every instance. */
  async seeRefresh(caller: DemoInstance): Promise<void> {
    this.#refreshes += 1;
    const due = this.#refreshes;
    const answered = await nth(caller, 'answered', this.#calls.get(caller) ?? 0);
    await untilThere(
      () => (this.#seen >= due ? true : undefined),
      `the provider saw less than ${due} refreshes`,
    );
    this.#report({ event: 'refreshed', refreshes: this.#seen });
    const ends = await Promise.all(
      this.#instances.map(async (instance) => {
        const { atMs, expiresAt, refreshed } = await nth(instance, 'received', due);
        const latencyMs = atMs - answered.atMs;
        const lastsMs = expiresAt - Date.now();
        this.#report({ event: 'received', instance: instance.name, latencyMs, refreshed, lastsMs });
        return expiresAt;
      }),
    );
    if (new Set(ends).size > 1) throw new DemoFailure('the instances hold different tokens');
    await this.#useAll();
  }

  /** For a scene that cannot be played here. */
  leaveOut(why: string): void {
    this.#report({ event: 'left-out', why });
  }

  /** After the last scene: whether there was one refresh too many, or one that asked was refused. */
  async checkAll(): Promise<void> {
    const all = await Promise.all(
      this.#instances.map(async (instance) => [instance.name, await instance.asked()] as const),
    );
    const { revoked } = this.#provider;
    const refreshes = this.#seen;
    this.#report({ event: 'logins', refreshes, revoked, asked: Object.fromEntries(all) });
    if (refreshes !== this.#refreshes || revoked > 0) {
      const seen = `${refreshes} refreshes and ${revoked} revoked logins`;
      throw new DemoFailure(`the provider saw ${seen}, not ${this.#refreshes} and none`);
    }
    for (const [name, { answers, refusals, leastValidMs }] of all) {
      if (answers > 0 && refusals === 0 && leastValidMs >= MIN_VALIDITY_MS) continue;
      const given = `${answers} answers, ${refusals} refusals, ${leastValidMs} ms of validity`;
      throw new DemoFailure(`${name} asked for the token and got ${given}`);
    }
  }

  /** How many refreshes the provider has seen since the first scene. */
  get #seen(): number {
    return this.#provider.refreshes - this.#earlier;
  }

  async #nextCall(otherwise: string, timeoutMs: number): Promise<Call> {
    const call = await untilThere(() => this.#newCall(), otherwise, timeoutMs);
    this.#calls.set(call.instance, (this.#calls.get(call.instance) ?? 0) + 1);
    return call;
  }

  #newCall(): Call | undefined {
    for (const instance of this.#instances) {
      const news = ofKind(instance, 'calling')[this.#calls.get(instance) ?? 0];
      if (news !== undefined) return { instance, news };
    }
    return undefined;
  }

  #tell({ instance, news }: Call): void {
    const { attempt, cause, inDoubt } = news;
    this.#report({ event: 'calling', instance: instance.name, attempt, cause, inDoubt });
  }

  async #useAll(): Promise<void> {
    const answers = await Promise.all(
      this.#instances.map(
        async (instance) => [instance.name, await instance.useLogin(this.#userinfoUrl)] as const,
      ),
    );
    this.#report({ event: 'used', step: 'shared login', status: Object.fromEntries(answers) });
    for (const [name, status] of answers) {
      if (status !== 200) throw new DemoFailure(`${name} used the token of the login: ${status}`);
    }
  }
}

/** The news of that kind that an instance has told so far. */
function ofKind<Kind extends LoginNews['kind']>(instance: DemoInstance, kind: Kind): News<Kind>[] {
  return instance.loginNews.filter((news): news is News<Kind> => news.kind === kind);
}

/** Waits for the `number`th news of that kind, from 1. */
function nth<Kind extends LoginNews['kind']>(
  instance: DemoInstance,
  kind: Kind,
  number: number,
): Promise<News<Kind>> {
  const otherwise = `${instance.name} told "${kind}" less than ${number} times`;
  return untilThere(() => ofKind(instance, kind)[number - 1], otherwise);
}

/** @throws DemoFailure with `otherwise` when nothing comes in time */
function untilThere<T>(
  find: () => T | undefined,
  otherwise: string,
  timeoutMs = PATIENCE_MS,
): Promise<T> {
  const check = (): T => {
    const found = find();
    if (found === undefined) throw new DemoFailure(otherwise);
    return found;
  };
  return eventually(check, { timeoutMs });
}
