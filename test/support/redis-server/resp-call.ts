import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Where a call goes, and the password of the default user if it has one. */
export interface RespTarget {
  readonly host: string;
  readonly port: number;
  readonly password?: string | undefined;
}

/**
 * One command on a connection of its own, for a server that may not be up yet: no client, no retries, no console output.
 * Resolves with the reply as text: status and bulk replies as they are, an error reply with its leading `-`.
 */
export function respCall(
  { host, port, password }: RespTarget,
  args: readonly string[],
  timeoutMs = 1_000,
): Promise<string> {
  const calls = password === undefined ? [args] : [['AUTH', password], args];
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect({ host, port });
    const timer = setTimeout(() => {
      socket.destroy(new Error(`no reply to ${args[0] ?? ''} within ${timeoutMs} ms`));
    }, timeoutMs);
    socket.setEncoding('latin1');
    socket.on('connect', () => socket.write(calls.map(encode).join('')));
    socket.on('data', (text: string) => {
      received += text;
      const reply = replies(received)[calls.length - 1];
      if (reply === undefined) return;
      resolve(reply);
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new Error(`connection to ${host}:${port} closed before a reply`));
    });
  });
}

/** Calls until `accept` likes the reply; refused connections and silence count as "not yet". */
export async function respUntil(
  target: RespTarget,
  args: readonly string[],
  { accept, deadline }: { accept: (reply: string) => boolean; deadline: number },
): Promise<void> {
  for (;;) {
    const reply = await respCall(target, args, 500).catch((error: unknown) => String(error));
    if (accept(reply)) return;
    if (Date.now() > deadline) throw new Error(`${args.join(' ')} was last answered: ${reply}`);
    await delay(10);
  }
}

function encode(args: readonly string[]): string {
  const bulks = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
  return `*${args.length}\r\n${bulks.join('')}`;
}

/** The complete replies in `text`: simple ones and bulk strings, which is all that PING, INFO, AUTH and SAVE send. */
function replies(text: string): string[] {
  const found: string[] = [];
  for (let at = 0; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return found;
    const line = text.slice(at, lineEnd);
    at = lineEnd + 2;
    if (!line.startsWith('$')) {
      found.push(line.startsWith('-') ? line : line.slice(1));
      continue;
    }
    const length = Math.max(0, Number(line.slice(1)));
    if (text.length < at + length + 2) return found;
    found.push(text.slice(at, at + length));
    at += length + 2;
  }
}
