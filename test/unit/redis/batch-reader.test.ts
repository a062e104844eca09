import { expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import { BatchReader } from '../../../src/redis/commands/batch-reader.js';
import type { Connection } from '../../../src/redis/connection/connection.js';
import { ServerTime } from '../../../src/time/server-time.js';

/** An error as ioredis makes it of a reply. */
function replyError(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError' });
}

/** A server that answers with nothing stored, unless `refuse` says otherwise. */
function world(refuse: (command: string, keys: readonly string[]) => string | undefined) {
  const clock = new VirtualClock();
  const sent: string[] = [];
  const client = {
    callBuffer: async (command: string, _sha: string, count: string, ...rest: string[]) => {
      sent.push(command);
      await new Promise<void>((resolve) => clock.nextTurn(resolve));
      const keys = rest.slice(0, Number(count));
      const question = Number(rest.at(-1));
      const refusal = refuse(command, keys);
      if (refusal !== undefined) throw replyError(refusal);
      return [question, clock.now() * 1_000, ...keys.flatMap((key) => [key, 0, null, -2])];
    },
  };
  const link = {
    canReadWhileSubscribed: true,
    call: async (
      send: (to: typeof client, question: number) => Promise<unknown>,
      parse: (reply: unknown, question: number) => unknown,
    ) => parse(await send(client, 7), 7),
  } as unknown as Connection;
  return { sent, together: new BatchReader(link, clock, new ServerTime(clock)) };
}

const seen = (all: readonly (readonly unknown[])[]): number[] => all.map(({ length }) => length);

it('a batch reader goes on to the next strategy once, however many calls find the first one missing', async () => {
  const { sent, together } = world((command) =>
    command.endsWith('_RO')
      ? `ERR unknown command '${command}', with args beginning with: `
      : undefined,
  );
  const calls = ['a', 'b', 'c', 'd'].map((key) => together.read([key, `${key}2`], 1_000));
  expect(seen(await Promise.all(calls))).toEqual([2, 2, 2, 2]);
  expect(sent).toEqual([
    ...Array<string>(4).fill('EVALSHA_RO'),
    ...Array<string>(4).fill('EVALSHA'),
  ]);
});

it.each([
  'NOPERM No permissions to access a key',
  'NOPERM this user has no permissions to access one of the keys used as arguments',
  'ERR ACL failure in script: No permissions to access a key',
])(
  'a batch reader splits one call into single reads, and leaves the others as they are: %s',
  async (refusal) => {
    const { sent, together } = world((_command, keys) =>
      keys.includes('secret') ? refusal : undefined,
    );
    expect(await together.read(['a', 'secret'], 1_000)).toEqual([]);
    expect(seen([await together.read(['a', 'b'], 1_000)])).toEqual([2]);
    expect(sent).toEqual(['EVALSHA_RO', 'EVALSHA_RO']);
  },
);

it.each([
  "NOPERM User default has no permissions to run the 'evalsha_ro' command",
  "NOPERM this user has no permissions to run the 'evalsha_ro' command or its subcommand",
  "ERR ACL failure in script: User default has no permissions to run the 'pexpiretime' command",
  "ERR Error running script: The user executing the script can't run this command or subcommand",
  'ERR Unknown Redis command called from script script: 0123',
])('a batch reader replaces a refused command: %s', async (refusal) => {
  const { sent, together } = world((command) => (command === 'EVALSHA_RO' ? refusal : undefined));
  expect(seen([await together.read(['a'], 1_000)])).toEqual([1]);
  expect(seen([await together.read(['a'], 1_000)])).toEqual([1]);
  expect(sent).toEqual(['EVALSHA_RO', 'EVALSHA', 'EVALSHA']);
});
