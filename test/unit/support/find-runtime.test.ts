import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { findRuntime, installLine, RUNTIMES } from '../../runtimes/find-runtime.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'credstream-runtimes-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** A program that says this version. */
async function programOf(version: string): Promise<string> {
  const path = join(directory, 'program');
  await writeFile(path, `#!/bin/sh\necho '${version}'\n`);
  await chmod(path, 0o755);
  return path;
}

it.each([
  ['node22', 'v22.1.0'],
  ['node24', 'v24.0.0'],
  ['bun', '1.4.5'],
  ['deno', 'deno 2.9.6 (stable)'],
])('a %s that is given is taken with its version', async (name, version) => {
  const command = await programOf(version);
  expect(await findRuntime(name, directory, command)).toMatchObject({ name, command, version });
});

it('a program of another version is refused', async () => {
  const command = await programOf('v20.0.0');
  await expect(findRuntime('node22', directory, command)).rejects.toThrow(
    `is v20.0.0 and not node22; install it: ${installLine(['node22'])}`,
  );
});

it.each(RUNTIMES)('%s that is missing is refused with the line that installs it', async (name) => {
  await expect(findRuntime(name, directory)).rejects.toThrow(
    `${name} is not there; install it: npm install --no-save --prefix temp/runtimes `,
  );
});

it('a name that is not known is refused', async () => {
  await expect(findRuntime('rhino', directory)).rejects.toThrow(
    'rhino is none of node22, node24, bun, deno',
  );
});
