import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { useCleanup } from '../../support/cleanup.js';
import { isAlive } from '../../support/guarded-process.js';
import {
  type NodeProcess,
  type NodeProcessOptions,
  startNodeProcess,
} from '../../support/node-process.js';
import { eventually } from '../../support/wait.js';

interface Answer {
  readonly answer?: string;
  readonly argument?: string;
  readonly color?: string;
  readonly guarded?: number;
}

const { track } = useCleanup();

async function start(options?: NodeProcessOptions): Promise<NodeProcess<Answer, string>> {
  const file = new URL('./fixtures/child.ts', import.meta.url);
  return track(await startNodeProcess<Answer, string>(file, options), (child) => child.stop());
}

it('a child process exchanges messages with a TypeScript file', async () => {
  const child = await start({ args: ['first'], env: { COLOR: 'red' } });
  await child.send('a');
  await child.send('b');
  expect(await child.next(({ answer }) => answer === 'b')).toEqual({
    answer: 'b',
    argument: 'first',
    color: 'red',
  });
  expect(child.messages).toHaveLength(2);
  expect(child.stdout).toBe('started\n');
});

it('next() fails at once when the child crashes, with its stderr', async () => {
  const child = await start();
  const next = child.next();
  await child.send('crash');
  await expect(next).rejects.toThrow(/ended with code 1 .*crashed as told/s);
  expect(child.stderr).toContain('crashed as told');
  expect(await child.exited).toEqual({ code: 1, signal: null });
});

it('a child process can be suspended and resumed', async () => {
  const child = await start();
  await child.send('a');
  await child.next();
  await child.suspend();
  await child.send('b');
  await expect(child.next(undefined, 200)).rejects.toThrow('within 200 ms');
  child.resume();
  expect(await child.next()).toMatchObject({ answer: 'b' });
});

it('a killed child ends, also a suspended one', async () => {
  const [killed, stopped] = await Promise.all([start(), start()]);
  expect(await killed.kill()).toEqual({ code: null, signal: 'SIGKILL' });
  await stopped.suspend();
  expect(await stopped.stop()).toEqual({ code: null, signal: 'SIGTERM' });
  expect([killed, stopped].map(({ pid }) => isAlive(pid))).toEqual([false, false]);
});

it('a child leaves no grandchild and no directory behind when the process between dies', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'credstream-orphan-'));
  const child = await start({ args: [directory] });
  await child.send('guard');
  const { guarded } = await child.next(({ guarded }) => guarded !== undefined);
  expect(isAlive(guarded!)).toBe(true);
  await child.kill();
  await eventually(() => expect(isAlive(guarded!)).toBe(false));
  await eventually(() => expect(existsSync(directory)).toBe(false));
});
