import { setMaxListeners } from 'node:events';
import type { Clock } from '../../time/clock.js';
import type { ReplicaAck, ReplicasWanted } from '../../backend/backend.js';
import { UnavailableError, type RefusedError } from '../../errors.js';
import { setLongTimeout } from '../../time/timers.js';
import { ConnectionLostError, readFailure, replyWord } from '../reply-errors.js';
import { helperKey } from '../keys.js';
import {
  Connection,
  type CommandConnection,
  type ConnectionSettings,
} from '../connection/connection.js';
import type { ServerTemplate } from '../client/server-template.js';

/** How long one WAIT blocks the connection for those that come meanwhile. */
const SHORTEST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 500;
/** Redis looks at the end of a WAIT ten times a second. */
const LATENESS_MS = 100;
/** How long a mark outlives a process that dies before it has claimed it. */
const MARKER_MS = 10_000;

/** One write that waits for replicas. */
class Waiter {
  readonly marker: string;
  readonly wanted: number;
  readonly since: number;
  readonly dueAt: number;
  /** A WAIT that ends in time is under way for it. */
  underWay = false;
  settled = false;
  #acked = 0;
  readonly #settle: (reached: ReplicaAck) => void;

  constructor(
    marker: string,
    { replicas, timeoutMs }: ReplicasWanted,
    now: number,
    settle: (reached: ReplicaAck) => void,
  ) {
    this.marker = marker;
    this.wanted = replicas;
    this.since = now;
    this.dueAt = now + timeoutMs;
    this.#settle = settle;
  }

  /** Who has a later write has this one too, so what was reached once stays. */
  take(count: number, now: number): void {
    this.#acked = Math.max(this.#acked, count);
    if (this.#acked >= this.wanted || now >= this.dueAt) this.settle();
  }

  settle(replicasError?: RefusedError | UnavailableError): void {
    if (this.settled) return;
    this.settled = true;
    this.#settle({ replicas: this.#acked, replicasError });
  }
}

/**
 * Finds out how many replicas have a write, by WAIT, on a connection of its own, because WAIT blocks the one on which it is sent.
 *
 * WAIT asks about what was written before the last command of its own connection (Redis 7.2 and later: before the last write of its own
 * connection), not about a write of another one. To send the write itself there would let it, and all later ones of the store, wait
 * behind the WAITs of others. So the connection of the write writes a mark after it, and the connection of the WAIT removes that mark: a
 * write, after the other one. That the mark was there also proves that this is a server that has the write, and not the new master of a
 * failover that lost it, whose replicas would count for nothing.
 *
 * Many wait at once: each WAIT asks for all of them, is answered as soon as the first of them can be, and is so short that those who
 * come meanwhile hardly wait for it; longer, the longer somebody has been waiting, because each mark makes the goal a later one.
 */
export class ReplicaWait {
  readonly #template: ServerTemplate;
  readonly #options: ConnectionSettings;
  readonly #clock: Clock;
  readonly #newName: () => string;
  #connection: Connection | undefined;
  /** Their marks are set, and not claimed yet. */
  #marked: Waiter[] = [];
  /** Their marks were claimed, so that a WAIT is about their writes. */
  #claimed: Waiter[] = [];
  #running = false;
  readonly #closing = new AbortController();

  /** @param newName - gives a name that nobody else uses */
  constructor(template: ServerTemplate, options: ConnectionSettings, newName: () => string) {
    this.#template = template;
    this.#clock = options.clock;
    this.#newName = newName;
    // Each that waits listens.
    setMaxListeners(0, this.#closing.signal);
    this.#options = {
      clock: options.clock,
      name: 'credstream:replicas',
      replyTimeoutMs: () => options.replyTimeoutMs() + LONGEST_WAIT_MS + LATENESS_MS,
    };
  }

  /**
   * Resolves when so many replicas have what was written to `key`, or with those that have it when the time is up. Never rejects.
   *
   * @param writtenOver - the link over which Redis has answered the write
   */
  acked(writtenOver: CommandConnection, key: string, wanted: ReplicasWanted): Promise<ReplicaAck> {
    return new Promise((resolve) => {
      const mark = helperKey('wait', key, this.#newName());
      const stop = new AbortController();
      const waiter = new Waiter(mark, wanted, this.#clock.monotonic(), (acked) => {
        stop.abort();
        cancel();
        resolve(acked);
      });
      const cancel = setLongTimeout(this.#clock, wanted.timeoutMs, () => {
        if (!waiter.underWay) waiter.settle(new UnavailableError('Redis did not tell in time'));
      });
      for (const signal of [...wanted.signals, this.#closing.signal]) {
        const giveUp = (): void => {
          waiter.settle(new UnavailableError('the waiting was given up before Redis told'));
        };
        if (signal.aborted) giveUp();
        else signal.addEventListener('abort', giveUp, { once: true, signal: stop.signal });
      }
      writtenOver
        .call((client) => client.set(mark, '1', 'PX', Math.ceil(wanted.timeoutMs) + MARKER_MS))
        .then(
          () => {
            this.#marked.push(waiter);
            void this.#run();
          },
          (error: unknown) => {
            waiter.settle(readFailure(error));
          },
        );
    });
  }

  /** Who still waits is told what is known. */
  close(): void {
    this.#closing.abort();
    this.#connection?.kill();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#waits()) await this.#ask(await this.#open());
    } catch (error) {
      this.#doubt(error);
      for (const waiter of [...this.#claimed, ...this.#marked]) waiter.settle(readFailure(error));
    } finally {
      this.#running = false;
    }
  }

  /** The other side may have become a replica without ending its connections, or be another server than the writes go to. */
  #doubt(error: unknown): void {
    if (replyWord(error) !== 'NOPERM') this.#connection?.kill();
  }

  #waits(): boolean {
    // A WAIT on another connection would not be about their writes.
    if (!this.#connection?.open)
      for (const waiter of this.#claimed) waiter.settle(readFailure(new ConnectionLostError(true)));
    const waiting = ({ settled }: Waiter): boolean => !settled;
    this.#claimed = this.#claimed.filter(waiting);
    this.#marked = this.#marked.filter(waiting);
    return this.#claimed.length + this.#marked.length > 0;
  }

  async #open(): Promise<Connection> {
    if (this.#connection?.open) return this.#connection;
    const { signal } = this.#closing;
    const link = await Connection.open(this.#template, this.#options, signal);
    // Closed in the very moment in which it was handed over; nobody else would close it any more.
    if (signal.aborted) {
      link.kill();
      throw new ConnectionLostError(false);
    }
    this.#connection = link;
    return link;
  }

  /** Claims the marks that are new and waits a while for replicas, in one round trip. @throws LinkLostError, or an error reply of Redis */
  async #ask(link: Connection): Promise<void> {
    const marked = this.#marked.splice(0);
    const all = [...this.#claimed, ...marked];
    for (const waiter of all) waiter.underWay = true;
    this.#claimed = all;
    const now = this.#clock.monotonic();
    const left = Math.min(...all.map(({ dueAt }) => dueAt)) - now;
    const age = now - Math.min(...all.map(({ since }) => since));
    const shortest = Math.min(Math.max(age, SHORTEST_WAIT_MS), LONGEST_WAIT_MS, left);
    const claims = marked.map((waiter) => this.#claim(link, waiter));
    const count = await link.call((client) =>
      // 0 would be for ever.
      client.wait(Math.min(...all.map(({ wanted }) => wanted)), Math.max(1, Math.ceil(shortest))),
    );
    const doubts = (await Promise.all(claims)).filter((doubt) => doubt !== undefined);
    const then = this.#clock.monotonic();
    for (const waiter of all) {
      waiter.underWay = false;
      waiter.take(count, then);
    }
    // Not before: the answer to the WAIT came with theirs.
    for (const doubt of doubts) this.#doubt(doubt);
  }

  /** Gives what speaks against the link, if anything does. */
  async #claim(link: Connection, waiter: Waiter): Promise<unknown> {
    try {
      if ((await link.call((client) => client.del(waiter.marker))) > 0) return undefined;
      const lost = new UnavailableError('this Redis has lost the write, or never had it');
      waiter.settle(lost);
      return lost;
    } catch (error) {
      waiter.settle(readFailure(error));
      return error;
    }
  }
}
