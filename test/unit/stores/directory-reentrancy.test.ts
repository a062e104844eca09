import { afterEach, describe, expect, it } from 'vitest';

import {
  CredentialMemory,
  MemoryCredentialDirectory,
  type CredentialChange,
  type MemoryCredentialDirectoryOptions,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { deferred } from '../../support/wait.js';

interface Token {
  readonly token: string;
}

const open: MemoryCredentialDirectory<Token>[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((directory) => directory.close()));
});

function world(options: Partial<MemoryCredentialDirectoryOptions<Token>> = {}) {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  const directory = new MemoryCredentialDirectory<Token>({ prefix: 't:', memory, ...options });
  open.push(directory);
  const ready = async (target: { ready(): Promise<void> }): Promise<void> => {
    const done = target.ready();
    await clock.advance(1_000);
    await done;
  };
  return { clock, memory, directory, ready };
}

describe('a subscriber of a directory that closes the last store of an id', () => {
  it('still withdraws the credential that the store handed out', async () => {
    const { clock, memory, directory, ready } = world();
    memory.set('t:a', '{"token":"one"}');
    await ready(directory);
    const store = directory.store('a');
    await ready(store);
    const signal = store.current!.signal;
    directory.changes$.subscribe(({ type }) => {
      if (type === 'cleared') void store.close();
    });
    memory.delete('t:a');
    await clock.advance(1_000);
    expect(signal.aborted).toBe(true);
  });

  it('and opens another one gives the new store no change that it cannot know', async () => {
    const { clock, memory, directory, ready } = world();
    memory.set('t:a', '{"token":"one"}');
    await ready(directory);
    const store = directory.store('a');
    await ready(store);
    const received: CredentialChange<Token>[] = [];
    const other = directory.store('a');
    directory.on('saved', () => {
      void store.close();
      other.on('change', (change) => received.push(change));
    });
    memory.set('t:a', '{"token":"two"}');
    await clock.advance(1_000);
    expect(received).toEqual([]);
    expect(directory.current('a')?.credentials).toEqual({ token: 'two' });
  });
});

it('a store that opens while its id is decoded starts from a reading of its own', async () => {
  const decodings: (() => void)[] = [];
  const { clock, memory, directory, ready } = world({
    serialize: (token) => JSON.stringify(token),
    deserialize: (bytes) => {
      const { promise, resolve } = deferred<Token>();
      decodings.push(() => {
        resolve(JSON.parse(bytes.toString()) as Token);
      });
      return promise;
    },
  });
  await ready(directory);
  memory.set('t:a', '{"token":"one"}');
  await clock.advance(10);
  expect(decodings).toHaveLength(1);
  memory.delete('t:a');
  const store = directory.store('a');
  const states: string[] = [];
  const opened = store.ready().then(() => states.push(store.state.type));
  decodings[0]!();
  await clock.advance(1_000);
  for (const decode of decodings) decode();
  await clock.advance(1_000);
  await opened;
  expect(states).toEqual(['absent']);
});

it('a store that is closed by a subscriber of its first status leaves no watch', async () => {
  let decoded = 0;
  const { clock, memory, directory } = world({
    serialize: (token) => JSON.stringify(token),
    deserialize: (bytes) => {
      decoded += 1;
      return JSON.parse(bytes.toString()) as Token;
    },
  });
  const store = directory.store('a');
  store.status$.subscribe(({ link }) => {
    if (link === 'connecting') void store.close();
  });
  store.changes$.subscribe();
  await clock.advance(1_000);
  memory.set('t:a', '{"token":"one"}');
  await clock.advance(60_000);
  expect(decoded).toBe(0);
});

it('a store that is opened and closed while its id is read leaves no change out', async () => {
  for (let turns = 0; turns < 12; turns += 1) {
    const { clock, memory, directory, ready } = world();
    memory.set('t:a', '{"token":"one"}');
    await ready(directory);
    const received: string[] = [];
    directory.changes$.subscribe((change) => received.push(change.type));
    const visit = (left: number): void => {
      if (left > 0) clock.nextTurn(() => visit(left - 1));
      else {
        const store = directory.store('a');
        store.on('change', () => undefined);
        void store.close();
      }
    };
    memory.set('t:a', '{"token":"two"}');
    visit(turns);
    await clock.advance(1_000);
    expect(received).toEqual(['saved']);
  }
});
