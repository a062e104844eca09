import { setMaxListeners } from 'node:events';
import type { Clock } from '../../time/clock.js';
import type { ReplicaAck, ReplicasWanted } from '../../backend/backend.js';
import { UnavailableError, type RefusedError } from '../../errors.js';
import { inRootContext } from '../../time/async-context.js';
import { setLongTimeout } from '../../time/timers.js';
import { ConnectionLostError, readFailure, replyWord } from '../reply-errors.js';
import { replyCount, replyOk } from '../reply-parser.js';
import {
  Connection,
  IDLE_MS,
  type CommandConnection,
  type ConnectionSettings,
} from '../connection/connection.js';
import type { ServerTemplate } from '../client/server-template.js';
import type { HelperNames } from './helper-names.js';

/** How long one WAIT blocks the connection for later waiters. */
const SHORTEST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 500;
/** Redis checks the timeout of a WAIT ten times a second. */
const LATENESS_MS = 100;
/** How long a marker outlives a process that dies before it has claimed the marker. */
const MARKER_MS = 10_000;

/** One write that waits for replicas. */
class Waiter {
  readonly marker: string;
  readonly wanted: number;
  readonly since: number;
  readonly dueAt: number;
  /** Whether a WAIT that ends in time is under way for this write. */
  underWay = false;
  settled = false;
  #acked = 0;
  readonly #settle: (acked: ReplicaAck) => void;

  constructor(
    marker: string,
    { replicas, timeoutMs }: ReplicasWanted,
    now: number,
    settle: (acked: ReplicaAck) => void,
  ) {
    this.marker = marker;
    this.wanted = replicas;
    this.since = now;
    this.dueAt = now + timeoutMs;
    this.#settle = settle;
  }

  /** A replica with a later write has this one too, so the highest count stays valid. */
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
 * Finds out how many replicas have a write, by WAIT, on a connection of its own, because WAIT blocks its connection.
 *
 * WAIT counts the replicas that have every write before the last command of its own connection (Redis 7.2 and later: before the last write
 * of its own connection); writes of other connections do not count. If the write itself were sent there, it and all later writes of the
 * store would queue behind the WAITs of others. Therefore the connection of the write stores a marker after it, and the connection of the
 * WAIT removes that marker: a write, after the other one. The existence of the marker also proves that this server has the write, and is
 * not the new master of a failover that lost it, whose replicas would count for nothing.
 *
 * Many writes wait at once: each WAIT serves all of them, is answered as soon as the first of them can be, and is so short that later
 * waiters hardly wait for it. It grows with the age of the oldest waiter, because each marker moves the goal to a later write.
 */
export class ReplicaWait {
  readonly #template: ServerTemplate;
  readonly #options: ConnectionSettings;
  readonly #clock: Clock;
  readonly #names: HelperNames;
  #connection: Connection | undefined;
  /** Waiters whose markers are stored and not claimed yet. */
  #unclaimed: Waiter[] = [];
  /** Waiters whose markers are claimed, so that a WAIT covers their writes. */
  #claimed: Waiter[] = [];
  #running = false;
  readonly #closing = new AbortController();

  constructor(template: ServerTemplate, options: ConnectionSettings, names: HelperNames) {
    this.#template = template;
    this.#clock = options.clock;
    this.#names = names;
    // Every waiter adds a listener.
    setMaxListeners(0, this.#closing.signal);
    this.#options = {
      clock: options.clock,
      name: 'credstream:replicas',
      warnOfTraces: options.warnOfTraces,
      replyTimeoutMs: () => options.replyTimeoutMs() + LONGEST_WAIT_MS + LATENESS_MS,
    };
  }

  /**
   * Resolves when the wanted number of replicas has the write to `key`, or with the number at the end of the timeout. Never rejects.
   *
   * @param writtenOver - the connection over which Redis replied to the write
   */
  acked(writtenOver: CommandConnection, key: string, wanted: ReplicasWanted): Promise<ReplicaAck> {
    return new Promise((resolve) => {
      const marker = this.#names.marker(key);
      const stop = new AbortController();
      const waiter = new Waiter(marker, wanted, this.#clock.monotonic(), (acked) => {
        stop.abort();
        cancel();
        resolve(acked);
      });
      const cancel = setLongTimeout(this.#clock, wanted.timeoutMs, () => {
        if (!waiter.underWay)
          waiter.settle(new UnavailableError('Redis did not report the replicas in time'));
      });
      for (const signal of [...wanted.signals, this.#closing.signal]) {
        const giveUp = (): void => {
          waiter.settle(new UnavailableError('the wait ended before Redis reported the replicas'));
        };
        if (signal.aborted) giveUp();
        else signal.addEventListener('abort', giveUp, { once: true, signal: stop.signal });
      }
      writtenOver
        .call(
          (client) => client.set(marker, '1', 'PX', Math.ceil(wanted.timeoutMs) + MARKER_MS),
          replyOk,
        )
        .then(
          () => {
            this.#unclaimed.push(waiter);
            void inRootContext(() => this.#run());
          },
          (error: unknown) => {
            waiter.settle(readFailure(error));
          },
        );
    });
  }

  /** Settles the remaining waiters with the numbers known so far. */
  close(): void {
    this.#closing.abort();
    this.#connection?.kill();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#hasWaiters()) await this.#wait(await this.#open());
    } catch (error) {
      this.#doubt(error);
      for (const waiter of [...this.#claimed, ...this.#unclaimed])
        waiter.settle(readFailure(error));
    } finally {
      this.#running = false;
    }
  }

  /** The server may have become a replica without ending its connections, or be another server than that of the writes. */
  #doubt(error: unknown): void {
    if (replyWord(error) !== 'NOPERM') this.#connection?.kill();
  }

  #hasWaiters(): boolean {
    // A WAIT on a new connection would not cover their writes.
    if (!this.#connection?.open)
      for (const waiter of this.#claimed) waiter.settle(readFailure(new ConnectionLostError(true)));
    const waiting = ({ settled }: Waiter): boolean => !settled;
    this.#claimed = this.#claimed.filter(waiting);
    this.#unclaimed = this.#unclaimed.filter(waiting);
    return this.#claimed.length + this.#unclaimed.length > 0;
  }

  async #open(): Promise<Connection> {
    const before = this.#connection;
    // Something between here and Redis may have forgotten the connection meanwhile.
    if (before?.open && this.#clock.monotonic() - before.confirmedAt > IDLE_MS)
      await before.verify().catch(() => undefined);
    if (before?.open) return before;
    const { signal } = this.#closing;
    const connection = await Connection.open(this.#template, this.#options, signal);
    // The wait closed between the opening and this line; `close()` did not see this connection.
    if (signal.aborted) {
      connection.kill();
      throw new ConnectionLostError(false);
    }
    this.#connection = connection;
    return connection;
  }

  /** Claims the new markers and waits a while for replicas, in one round trip. @throws ConnectionLostError, or an error reply of Redis */
  async #wait(connection: Connection): Promise<void> {
    const unclaimed = this.#unclaimed.splice(0);
    const all = [...this.#claimed, ...unclaimed];
    for (const waiter of all) waiter.underWay = true;
    this.#claimed = all;
    const now = this.#clock.monotonic();
    const left = Math.min(...all.map(({ dueAt }) => dueAt)) - now;
    const age = now - Math.min(...all.map(({ since }) => since));
    const shortest = Math.min(Math.max(age, SHORTEST_WAIT_MS), LONGEST_WAIT_MS, left);
    const claims = unclaimed.map((waiter) => this.#claim(connection, waiter));
    const count = await connection.call(
      (client) =>
        // A timeout of 0 would block for ever.
        client.wait(Math.min(...all.map(({ wanted }) => wanted)), Math.max(1, Math.ceil(shortest))),
      replyCount,
    );
    const doubts = (await Promise.all(claims)).filter((doubt) => doubt !== undefined);
    const then = this.#clock.monotonic();
    for (const waiter of all) {
      waiter.underWay = false;
      waiter.take(count, then);
    }
    // Not earlier, because the reply to the WAIT came with these replies.
    for (const doubt of doubts) this.#doubt(doubt);
  }

  /** Returns the evidence against the connection, if there is any. */
  async #claim(connection: Connection, waiter: Waiter): Promise<unknown> {
    try {
      const removed = await connection.call((client) => client.del(waiter.marker), replyCount);
      if (removed > 0) return undefined;
      const lost = new UnavailableError('the Redis server has lost the write, or never had it');
      waiter.settle(lost);
      return lost;
    } catch (error) {
      waiter.settle(readFailure(error));
      return error;
    }
  }
}
