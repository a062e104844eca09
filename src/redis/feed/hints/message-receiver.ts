import { hintFrom, hintFromEvent } from '../../commands/announcement.js';
import type { Connection } from '../../connection/connection.js';
import { keyspaceChannel } from '../../keys.js';
import { FloodMeter } from './flood-meter.js';
import type { ChannelKind } from './muted-channels.js';
import type { NotificationModes } from '../notification-modes.js';
import type { FeedSessionContext } from '../session-context.js';
import type { WatchedKey } from '../watched-keys.js';

/** Turns the messages of one session into hints. */
export class MessageReceiver {
  readonly #context: FeedSessionContext;
  readonly #modes: NotificationModes;
  readonly #keyspace: string;
  readonly #announcements: string;
  readonly #meters: Readonly<Record<ChannelKind, FloodMeter>>;
  #stopped = false;

  /** @param flooded - called when more messages come than any program has reason to send */
  constructor(
    context: FeedSessionContext,
    { client }: Connection,
    modes: NotificationModes,
    flooded: (watched: WatchedKey, kind: ChannelKind) => void,
  ) {
    const { names, template } = context;
    const { db } = template;
    const { clock } = context.connectionSettings;
    const meter = (kind: ChannelKind): FloodMeter =>
      new FloodMeter(clock, (watched) => {
        flooded(watched, kind);
      });
    this.#meters = { keyspace: meter('keyspace'), announcements: meter('announcements') };
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
    if (this.#stopped) return;
    const { keys, instance } = this.#context;
    const isEvent = channel.startsWith(this.#keyspace);
    const start = (isEvent ? this.#keyspace : this.#announcements).length;
    if (pattern === undefined && this.#modes.takeProbe(channel, message)) return;
    if (!isEvent && !channel.startsWith(this.#announcements)) return;
    const key = channel.slice(start);
    const watched =
      pattern === undefined ? keys.ofKey(key) : keys.ofPrefix(pattern.slice(start, -1));
    // The rest of a flood: Redis has not yet ended the subscription.
    const kind = isEvent ? 'keyspace' : 'announcements';
    if (watched === undefined || (!keys.muted.isEmpty && keys.muted.has(watched, kind))) return;
    this.#meters[kind].count(watched);
    const hint = isEvent ? hintFromEvent(message) : hintFrom(message, instance);
    if (hint === undefined) return;
    if (isEvent) this.#modes.notificationSeen();
    watched.hint(key, hint);
  }
}
