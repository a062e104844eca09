import { eventually } from '../../../test/support/wait.js';
import type { LoginNews, LoginSettings } from '../login/login-news.js';
import { monotonicMs } from '../monotonic-clock.js';
import type { DemoNode } from '../nodes/demo-node.js';
import type { OAuthServer } from '../oauth/oauth-server.js';
import type { Report } from '../report/demo-event.js';
import { DemoFailure } from './demo-failure.js';

type News<Kind extends LoginNews['kind']> = Extract<LoginNews, { kind: Kind }>;

/** A node that holds the lease, and what it told when it was about to ask the provider. */
export interface Call {
  readonly node: DemoNode;
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
  #nodes: readonly DemoNode[];
  #userinfoUrl = '';
  /** How many refreshes there were before the first scene. */
  #earlier = 0;
  #refreshes = 0;
  /** How many calls each node has told of that were seen. */
  readonly #calls = new Map<DemoNode, number>();

  constructor(nodes: readonly DemoNode[], provider: OAuthServer, report: Report) {
    this.#nodes = nodes;
    this.#provider = provider;
    this.#report = report;
  }

  /** Saves the tokens of a login, and makes every node one of those that keep it valid. */
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
    await Promise.all(this.#nodes.map((node) => node.keepLogin(settings)));
  }

  /** From now on a node that holds the lease gets no further than to the door of the provider. */
  async shutGates(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.setGate(false)));
  }

  /** The next node that holds the lease. */
  async seeCall(): Promise<Call> {
    const call = await this.#nextCall(
      'the token was not refreshed: no node has asked the provider',
      PATIENCE_MS,
    );
    this.#tell(call);
    return call;
  }

  /** Kills it, and resolves when another node has taken over. */
  async seeTakeover(holder: DemoNode): Promise<Call> {
    const killedAtMs = monotonicMs();
    await holder.kill?.();
    this.#report({ event: 'killed', node: holder.name, refreshes: this.#seen });
    this.#nodes = this.#nodes.filter((node) => node !== holder);
    await Promise.all(this.#nodes.map((node) => node.setGate(true)));
    const call = await this.#nextCall(
      'no node has taken over from the one that was killed',
      TAKEOVER_PATIENCE_MS,
    );
    const { node, news } = call;
    const afterMs = news.atMs - killedAtMs;
    const limits = { leaseMs: LEASE_MS, spreadMs: SPREAD_MS };
    this.#report({ event: 'took-over', node: node.name, afterMs, ...limits });
    this.#tell(call);
    if (!news.inDoubt) throw new DemoFailure(`${node.name} was not told that somebody had died`);
    return call;
  }

  /** One refresh at the provider, asked for by this node, and its tokens on every node. */
  async seeRefresh(caller: DemoNode): Promise<void> {
    this.#refreshes += 1;
    const due = this.#refreshes;
    const answered = await nth(caller, 'answered', this.#calls.get(caller) ?? 0);
    await untilThere(
      () => (this.#seen >= due ? true : undefined),
      `the provider saw less than ${due} refreshes`,
    );
    this.#report({ event: 'refreshed', refreshes: this.#seen });
    const ends = await Promise.all(
      this.#nodes.map(async (node) => {
        const { atMs, expiresAt, refreshed } = await nth(node, 'received', due);
        const latencyMs = atMs - answered.atMs;
        const lastsMs = expiresAt - Date.now();
        this.#report({ event: 'received', node: node.name, latencyMs, refreshed, lastsMs });
        return expiresAt;
      }),
    );
    if (new Set(ends).size > 1) throw new DemoFailure('the nodes hold different tokens');
    await this.#useAll();
  }

  /** For a scene that cannot be played here. */
  leaveOut(why: string): void {
    this.#report({ event: 'left-out', why });
  }

  /** After the last scene: whether there was one refresh too many, or one that asked was refused. */
  async checkAll(): Promise<void> {
    const all = await Promise.all(
      this.#nodes.map(async (node) => [node.name, await node.asked()] as const),
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
    this.#calls.set(call.node, (this.#calls.get(call.node) ?? 0) + 1);
    return call;
  }

  #newCall(): Call | undefined {
    for (const node of this.#nodes) {
      const news = ofKind(node, 'calling')[this.#calls.get(node) ?? 0];
      if (news !== undefined) return { node, news };
    }
    return undefined;
  }

  #tell({ node, news }: Call): void {
    const { attempt, cause, inDoubt } = news;
    this.#report({ event: 'calling', node: node.name, attempt, cause, inDoubt });
  }

  async #useAll(): Promise<void> {
    const answers = await Promise.all(
      this.#nodes.map(async (node) => [node.name, await node.useLogin(this.#userinfoUrl)] as const),
    );
    this.#report({ event: 'used', step: 'shared login', status: Object.fromEntries(answers) });
    for (const [name, status] of answers) {
      if (status !== 200) throw new DemoFailure(`${name} used the token of the login: ${status}`);
    }
  }
}

/** The news of that kind that a node has told so far. */
function ofKind<Kind extends LoginNews['kind']>(node: DemoNode, kind: Kind): News<Kind>[] {
  return node.loginNews.filter((news): news is News<Kind> => news.kind === kind);
}

/** Waits for the `number`th news of that kind, from 1. */
function nth<Kind extends LoginNews['kind']>(
  node: DemoNode,
  kind: Kind,
  number: number,
): Promise<News<Kind>> {
  const otherwise = `${node.name} told "${kind}" less than ${number} times`;
  return untilThere(() => ofKind(node, kind)[number - 1], otherwise);
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
