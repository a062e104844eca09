import type { Observation } from '../../backend/backend.js';
import { ServerTime } from '../../time/server-time.js';
import { CommandChannel, type CommandSession } from '../commands/channel.js';
import { readFailure } from '../reply-errors.js';
import { Feed } from '../feed/feed.js';
import { toObservation } from '../commands/reader.js';
import type { RedisSettings } from '../connection-options.js';
import { scanKeys } from '../commands/scan.js';
import type { ServerTemplate } from '../client/server-template.js';

/** What the nodes of one client share. */
export interface ServerContext {
  /** Names this process. */
  readonly instance: string;
  readonly settings: () => RedisSettings;
  /** A name that no other process, and no other call in this one, uses. */
  readonly newName: () => string;
  /** A number that no other generation of any feed has. */
  readonly newGeneration: () => number;
}

/** What is special about one of them. */
export interface ServerSpecifics {
  /** Whether one command may read any two keys: not in a cluster. */
  readonly readsTogether: boolean;
  /** Names a key of our own on this server; `undefined` where none can be told. */
  readonly ownKey: (kind: 'epoch' | 'probe') => string | undefined;
  /** Called whenever the feed's link is lost, or could not be opened. */
  readonly linkLost: () => void;
}

/** One server: at most two connections, one feed, one view of its clock. */
export class Server {
  readonly commands: CommandChannel;
  readonly feed: Feed;
  readonly #time: ServerTime;
  readonly #heartbeatMs: () => number;

  constructor(template: ServerTemplate, context: ServerContext, specifics: ServerSpecifics) {
    const { clock } = context.settings();
    const { newName, newGeneration, settings } = context;
    const linkOptions = (name: string) => ({
      clock,
      name,
      replyTimeoutMs: () => settings().replyTimeoutMs,
    });
    this.#heartbeatMs = () => settings().heartbeatMs;
    this.#time = new ServerTime(clock);
    this.commands = new CommandChannel(template, linkOptions('credstream:commands'), newName);
    this.feed = new Feed({
      template,
      connectionSettings: linkOptions('credstream:feed'),
      commands: this.commands,
      time: this.#time,
      instance: context.instance,
      newName,
      newGeneration,
      settings,
      ...specifics,
    });
  }

  /** Looks at a key over whichever connection there is. @throws UnavailableError, RefusedError */
  async read(key: string, maxBytes: number): Promise<Observation> {
    const seen = await this.feed.tryRead(key, maxBytes);
    return seen ?? this.withSession((one) => this.readOver(one, key, maxBytes));
  }

  /** Looks at a key by these means. @throws UnavailableError, RefusedError */
  async readOver({ reader }: CommandSession, key: string, maxBytes: number): Promise<Observation> {
    try {
      const [look] = await Promise.all([
        reader.read({ key, maxBytes, epochKey: undefined }),
        // Without a feed nothing else asks.
        this.commands.verifyAfter(this.#heartbeatMs()),
      ]);
      return toObservation(look, this.#time);
    } catch (error) {
      throw readFailure(error);
    }
  }

  /**
   * At once where the link is open, so that writes go out in the order in which they were asked for.
   *
   * @throws UnavailableError, RefusedError
   */
  withSession<R>(use: (withSession: CommandSession) => Promise<R>): Promise<R> {
    const { current } = this.commands;
    if (current?.connection.open) return use(current);
    return this.commands.get().then(use, (error: unknown) => {
      throw readFailure(error);
    });
  }

  /** The keys with a prefix that this server has. @throws UnavailableError, RefusedError */
  keys(prefix: string): AsyncIterable<readonly string[]> {
    return scanKeys(prefix, (use) => this.withSession(use));
  }

  async close(timeoutMs: number): Promise<void> {
    this.feed.close();
    await this.commands.close(timeoutMs);
  }
}
