import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A server program that was asked for its version and gave one. */
export interface RedisBinary {
  readonly command: string;
  /** Added to our own environment when it runs. */
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
}

/** Runs `command --version`; rejects when there is no such program or it is no Redis. */
export async function probeBinary(
  command: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RedisBinary> {
  const { stdout } = await run(command, ['--version'], {
    env: { ...process.env, ...env },
    timeout: 10_000,
  });
  // "Redis server v=7.0.15 sha=…", "Valkey server v=8.1.1 sha=…"
  const version = /\bv=(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  if (version === undefined) throw new Error(`${command} --version says no version of Redis`);
  return { command, env, version };
}
