import { hintFrom, hintFromEvent } from '../commands/announcement.js';
import type { Connection } from '../connection/connection.js';
import { keyspaceChannel } from '../keys.js';
import type { NotificationModes } from './notification-modes.js';
import type { FeedSessionContext } from './session-context.js';

/** Turns the messages of one session into hints. */
export class MessageReceiver {
  readonly #context: FeedSessionContext;
  readonly #modes: NotificationModes;
  readonly #keyspace: string;
  readonly #announcements: string;
  #stopped = false;

  constructor(context: FeedSessionContext, { client }: Connection, modes: NotificationModes) {
    const { names, template } = context;
    const { db } = template;
    this.#context = context;
    this.#modes = modes;
    this.#keyspace = keyspaceChannel(db, '');
    this.#announcements = names.announcements(db, '');
    client.on('message', (channel: string, message: string) => {
      this.#receive(channel, message);
    });
    client.on('pmessage', (pattern: string, channel: string, message: string) => {
      this.#receive(channel, message, pattern);
    });
  }

  /** Drops the messages that still arrive. */
  stop(): void {
    this.#stopped = true;
  }

  /** @param pattern - has the prefix and `*` where the channel has the key */
  #receive(channel: string, message: string, pattern?: string): void {
    const { keys, instance } = this.#context;
    if (this.#stopped) return;
    const isEvent = channel.startsWith(this.#keyspace);
    const start = (isEvent ? this.#keyspace : this.#announcements).length;
    if (pattern === undefined && this.#modes.takeProbe(channel, message)) return;
    if (!isEvent && !channel.startsWith(this.#announcements)) return;
    const hint = isEvent ? hintFromEvent(message) : hintFrom(message, instance);
    if (hint === undefined) return;
    if (isEvent) this.#modes.notificationSeen();
    if (pattern === undefined) keys.hint(channel.slice(start), hint);
    else keys.hintBelow(pattern.slice(start, -1), channel.slice(start), hint);
  }
}
