import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import {
  CredentialMemory,
  InvalidOptionError,
  MemoryCredentialDirectory,
  MemoryCredentialStore,
  type CredentialChange,
} from '../../../src/index.js';
import { DEFAULT_INSTANCE_NAME } from '../../../src/util/instance-name.js';
import { VirtualClock } from '../../../src/testing/index.js';

const clock = new VirtualClock();

describe('the name of an instance', () => {
  it('is the host and the process, unless the option gives another', () => {
    expect(DEFAULT_INSTANCE_NAME).toBe(`${hostname()}:${String(process.pid)}`);
  });

  it.each([
    ['given to a store', { name: 'crm-7f:1' }, 'crm-7f:1'],
    ['left out', {}, DEFAULT_INSTANCE_NAME],
  ])('that is %s is shown to other instances with its writes', async (_name, options, seen) => {
    const memory = new CredentialMemory({ clock });
    const writer = new MemoryCredentialStore<string>({ key: 'api', memory, ...options });
    const writers = new MemoryCredentialDirectory<string>({ prefix: 'a', memory, ...options });
    const watcher = new MemoryCredentialStore<string>({ key: 'api', memory });
    const changes: CredentialChange<string>[] = [];
    watcher.on('change', (change) => changes.push(change));
    await clock.advance(1);
    const writes = [
      () => writer.save('one'),
      () => writers.save('pi', 'two'),
      () => writer.clear(),
    ];
    for (const write of writes) {
      const written = write();
      await clock.advance(1);
      await written;
    }
    const instance = expect.any(String) as unknown;
    expect(changes.map(({ origin }) => origin)).toEqual([
      { instance, name: seen },
      { instance, name: seen },
      { instance, name: seen },
    ]);
    for (const one of [writer, writers, watcher]) await one.close();
  });

  it.each(['', 'n'.repeat(129), 'two\nlines', '\u001b[2J', 'pod\u202e', '\ud800', 5, null])(
    'is refused when it is %j',
    (name) => {
      const make = (): unknown =>
        new MemoryCredentialStore({ key: 'api', name: name as unknown as string });
      expect(make).toThrow(InvalidOptionError);
      expect(make).toThrow(/^name: must be a string of 1 to 128 characters/);
    },
  );
});
