import { CredentialMemory, MemoryCredentialDirectory } from 'credstream';
import { VirtualClock } from 'credstream/testing';
import { expect, it } from 'vitest';

interface Token {
  readonly token: string;
}

const HOUR = 3_600_000;

/** A directory, and the ends of what it holds, which can be moved without other bytes. */
async function ready() {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  const ends = new Map([['two', clock.now() - HOUR]]);
  const directory = new MemoryCredentialDirectory<Token>({
    prefix: 'app:',
    memory: memory,
    expiresAt: ({ token }) => ends.get(token),
  });
  const emitted: string[] = [];
  directory.changes$.subscribe((change) => {
    emitted.push(change.type === 'saved' ? `saved ${change.credentials.token}` : change.type);
  });
  await clock.advance(100);
  const set = async (token: string): Promise<void> => {
    memory.set('app:a', JSON.stringify({ token }));
    await clock.advance(100);
  };
  /** Opens the credential for somebody who watches it. */
  const watch = async () => {
    const store = directory.store('a');
    const changes: string[] = [];
    store.changes$.subscribe(({ type }) => changes.push(type));
    await clock.advance(100);
    return { changes, close: () => store.close() };
  };
  const move = async (): Promise<void> => {
    ends.set('two', clock.now() + HOUR);
    await set('two');
  };
  return { directory, emitted, set, watch, move };
}

it('credentials past their end that get a later one are emitted as saved where nobody watches them', async () => {
  const { directory, emitted, set, move } = await ready();
  await set('one');
  await set('two');
  await move();
  expect(emitted).toEqual(['saved one', 'expired', 'saved two']);
  await directory.close();
});

it('credentials past their end that get a later one are emitted as saved where a watch has begun meanwhile', async () => {
  const { directory, emitted, set, watch, move } = await ready();
  await set('one');
  await set('two');
  const { changes } = await watch();
  await move();
  expect(changes).toEqual(['saved']);
  expect(emitted).toEqual(['saved one', 'expired', 'saved two']);
  await move();
  expect(emitted.slice(3)).toEqual(['renewed']);
  expect(changes.slice(1)).toEqual(['renewed']);
  await directory.close();
});

it('credentials past their end that get a later one are emitted as saved where a watch has ended', async () => {
  const { directory, emitted, set, watch, move } = await ready();
  await set('one');
  await set('two');
  const { close } = await watch();
  await close();
  await move();
  expect(emitted).toEqual(['saved one', 'expired', 'saved two']);
  await directory.close();
});

it('credentials past their end that get a later one are emitted as saved where only the watcher has seen them', async () => {
  const { directory, emitted, set, watch, move } = await ready();
  const { changes } = await watch();
  await set('two');
  await move();
  expect(changes).toEqual(['saved']);
  expect(emitted).toEqual(['saved two']);
  await directory.close();
});

it('credentials that were emitted before are renewed by a later end', async () => {
  const { directory, emitted, set, watch, move } = await ready();
  await set('one');
  await set('two');
  const { changes } = await watch();
  await move();
  await set('three');
  await set('two');
  expect(changes).toEqual(['saved', 'saved', 'saved']);
  expect(emitted).toEqual(['saved one', 'expired', 'saved two', 'saved three', 'saved two']);
  await directory.close();
});
