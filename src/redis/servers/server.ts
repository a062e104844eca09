import type { Observation } from '../../backend/backend.js';
import { inRootContext } from '../../time/async-context.js';
import type { Clock } from '../../time/clock.js';
import { ServerTime } from '../../time/server-time.js';
import { CommandChannel, type CommandSession } from '../commands/channel.js';
import type { HelperNames } from '../commands/helper-names.js';
import { readFailure } from '../reply-errors.js';
import { Feed } from '../feed/feed.js';
import { toObservation } from '../commands/reader.js';
import type { RedisSettings } from '../connection-options.js';
import { scanKeys } from '../commands/scan.js';
import type { SkewWarning } from './skew-warning.js';
import type { ServerTemplate } from '../client/server-template.js';
import { IDLE_MS } from '../connection/connection.js';

/** The data that the servers of one client share. */
export interface ServerContext {
  /** The id of this instance. */
  readonly instance: string;
  readonly settings: () => RedisSettings;
  /** The names of the keys and channels of our own. */
  readonly names: HelperNames;
  /** A number that no other generation of any feed has. */
  readonly newGeneration: () => number;
  /** Warns when the clocks of this machine and of a server differ. */
  readonly skewWarning: SkewWarning;
  readonly warnOfTraces: () => void;
  /** Called when Redis could not be reached, or turned us away. */
  readonly connectFailed: (error: Error) => void;
}

/** The differences between a single server and one of a cluster. */
export interface ServerSpecifics {
  /** Whether one command may read any two keys: not in a cluster. */
  readonly readsTogether: boolean;
  /** Names a key of our own on this server; `undefined` where no name is known. */
  readonly ownKey: (kind: 'epoch' | 'probe') => string | undefined;
  /** Called when a connection for commands or hints could not be opened. */
  readonly openFailed?: (error: Error) => void;
  /** Called whenever the feed's link is lost, or could not be opened. */
  readonly linkLost: () => void;
}

/** One server: its connections, one feed, one view of its clock. */
export class Server {
  readonly commands: CommandChannel;
  readonly feed: Feed;
  readonly #time: ServerTime;
  readonly #clock: Clock;
  /** The proof under way that an idle connection for commands is alive. */
  #proving: Promise<CommandSession> | undefined;
  readonly #heartbeatMs: () => number;
  readonly #skewWarning: SkewWarning;

  constructor(template: ServerTemplate, context: ServerContext, specifics: ServerSpecifics) {
    const { clock } = context.settings();
    const { names, newGeneration, settings, warnOfTraces } = context;
    const connectionSettings = (name: string) => ({
      clock,
      name,
      warnOfTraces,
      replyTimeoutMs: () => settings().replyTimeoutMs,
      ...(specifics.openFailed && { openFailed: specifics.openFailed }),
    });
    this.#heartbeatMs = () => settings().heartbeatMs;
    this.#clock = clock;
    this.#skewWarning = context.skewWarning;
    this.#time = new ServerTime(clock, undefined, () => {
      context.skewWarning.judge(this.#time);
    });
    this.commands = new CommandChannel(template, connectionSettings('credstream:commands'), names);
    this.feed = new Feed({
      template,
      connectionSettings: connectionSettings('credstream:feed'),
      commands: this.commands,
      time: this.#time,
      instance: context.instance,
      names,
      newGeneration,
      settings,
      ...specifics,
    });
  }

  /** Reads a key over the feed's connection, or else over that of the commands. @throws UnavailableError, RefusedError */
  async read(key: string, maxBytes: number): Promise<Observation> {
    const observation = await this.feed.tryRead(key, maxBytes);
    return observation ?? this.withSession((one) => this.readOver(one, key, maxBytes));
  }

  /** Reads a key over a given session. @throws UnavailableError, RefusedError */
  async readOver(
    { reader, connection }: CommandSession,
    key: string,
    maxBytes: number,
  ): Promise<Observation> {
    try {
      const [reading] = await Promise.all([
        reader.read({ key, maxBytes, epochKey: undefined }),
        // Without a feed no other check runs.
        this.commands.verifyAfter(this.#heartbeatMs()),
      ]);
      return toObservation(reading, this.#time);
    } catch (error) {
      throw readFailure(error, connection.source);
    }
  }

  /**
   * Synchronous where the connection is open, so that writes are sent in the order of the calls.
   *
   * @throws UnavailableError, RefusedError
   */
  withSession<R>(use: (session: CommandSession) => Promise<R>): Promise<R> {
    const { current } = this.commands;
    const isOpen = current?.connection.open === true;
    if (isOpen && this.#proving === undefined && !this.commands.isIdle(this.#idleMs))
      return use(current);
    const opening = this.#proving ?? (isOpen ? this.#prove() : this.commands.get());
    return opening.then(use, (error: unknown) => {
      throw readFailure(error);
    });
  }

  get #idleMs(): number {
    return Math.min(this.#heartbeatMs(), IDLE_MS);
  }

  /** A write on a dead connection would end with an unknown outcome. Calls that come meanwhile wait too, so that their order stays. */
  #prove(): Promise<CommandSession> {
    const proving = inRootContext(() => this.commands.proven());
    this.#proving = proving;
    const done = (): void => {
      this.#clock.nextTurn(() => {
        if (this.#proving === proving) this.#proving = undefined;
      });
    };
    proving.then(done, done);
    return proving;
  }

  /** The keys of this server with a prefix. @throws UnavailableError, RefusedError */
  keys(prefix: string): AsyncIterable<readonly string[]> {
    return scanKeys(prefix, (use) => this.withSession(use));
  }

  async close(timeoutMs: number): Promise<void> {
    this.feed.close();
    this.#skewWarning.forget(this.#time);
    await this.commands.close(timeoutMs);
  }
}
