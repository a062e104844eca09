import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { now } from './instants.js';
import { serve } from './serve.js';

const BATCH_MS = 5;
/** Redis has replied to all messages but so many: more would only wait in front of it. */
const MOST_OUTSTANDING = 20_000;
const LINE_FEED = 10;

export interface Flood {
  readonly port: number;
  readonly channels: readonly string[];
  readonly text: string;
  readonly perSecond: number;
}

let flood: { on: boolean; readonly ended: Promise<number> } | undefined;

function publication(channel: string, text: string): string {
  const parts = ['PUBLISH', channel, text];
  return `*3\r\n${parts.map((part) => `$${String(Buffer.byteLength(part))}\r\n${part}\r\n`).join('')}`;
}

/** Messages are written as prepared bytes: a client would cost the core that the observer needs. */
async function publish(socket: Socket, { channels, text, perSecond }: Flood): Promise<number> {
  const each = Buffer.from(channels.map((channel) => publication(channel, text)).join(''));
  const rounds = Math.round((perSecond * BATCH_MS) / 1_000 / channels.length);
  const batch = Buffer.concat(Array.from({ length: rounds }, () => each));
  const count = rounds * channels.length;
  let sent = 0;
  let replies = 0;
  socket.on('data', (bytes: Buffer) => {
    for (const byte of bytes) if (byte === LINE_FEED) replies += 1;
  });
  const startedAt = now();
  for (let dueAt = startedAt; flood?.on === true; dueAt += BATCH_MS * 1_000) {
    while (now() < dueAt) await delay(Math.max(0, (dueAt - now()) / 1_000));
    if (sent - replies > MOST_OUTSTANDING) continue;
    if (!socket.write(batch)) await once(socket, 'drain');
    sent += count;
  }
  socket.destroy();
  return (replies / (now() - startedAt)) * 1e6;
}

const calls = {
  start(what: Flood): void {
    const socket = connect(what.port, '127.0.0.1');
    socket.on('error', () => undefined);
    flood = { on: true, ended: once(socket, 'connect').then(() => publish(socket, what)) };
  },
  /** Gives the messages a second to which Redis replied. */
  async stop(): Promise<number> {
    flood!.on = false;
    return flood!.ended;
  },
};
export type ForgerCalls = typeof calls;

serve(calls);
