import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { compiledProgram } from './compiled-programs.js';
import { type GuardedProcess, type ProcessExit, spawnGuarded } from './guarded-process.js';
import { Inbox } from './inbox.js';

/** What a child is started with. */
export interface NodeProcessOptions {
  readonly args?: readonly string[];
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Flags for Node itself, such as `--expose-gc`. */
  readonly nodeArgs?: readonly string[];
}

/** A Node process that runs a TypeScript file. In the file: `process.send(message)` and `process.on('message', …)`. */
export interface NodeProcess<Received = unknown, Sent = unknown> extends AsyncDisposable {
  readonly pid: number;
  /** Everything the child has sent. */
  readonly messages: readonly Received[];
  /** What it has printed so far. */
  readonly stdout: string;
  readonly stderr: string;
  readonly exited: Promise<ProcessExit>;
  send(message: Sent): Promise<void>;
  /** Awaits a message; see {@link Inbox}. Rejects at once, with stderr, when the child ends before. */
  next: Inbox<Received>['next'];
  /** SIGSTOP, as a long pause of the process. */
  suspend(): Promise<void>;
  resume(): void;
  /** SIGKILL. */
  kill(): Promise<ProcessExit>;
  /** SIGTERM, then SIGKILL; idempotent. */
  stop(): Promise<ProcessExit>;
}

/**
 * Starts a file with Node: JavaScript as it is, other files as they were compiled for the test run, or else with `--import tsx`. `Received` is what the file promises to send; nobody checks it. The child
 * cannot outlive this process, also when suspended; a test stops it itself, see `useCleanup`.
 */
export async function startNodeProcess<Received = unknown, Sent = unknown>(
  file: string | URL,
  { args = [], env = {}, nodeArgs = [] }: NodeProcessOptions = {},
): Promise<NodeProcess<Received, Sent>> {
  const path = typeof file === 'string' ? file : fileURLToPath(file);
  const running = await spawnGuarded(
    process.execPath,
    [...nodeArgs, ...programArgs(path), ...args],
    { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, ...env } },
  );
  return overIpc<Received, Sent>(running, path);
}

function programArgs(path: string): string[] {
  if (path.endsWith('js')) return [path];
  const compiled = compiledProgram(path);
  if (compiled !== undefined) return [compiled];
  // By its full address: the child may run anywhere.
  return ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href, path];
}

function overIpc<Received, Sent>(
  running: GuardedProcess,
  path: string,
): NodeProcess<Received, Sent> {
  const { child } = running;
  const inbox = new Inbox<Received>();
  const output = collectText(child.stdout);
  const errors = collectText(child.stderr);
  child.on('message', (message) => inbox.push(message as Received));
  // 'close' and not 'exit': only then have all messages and all output arrived.
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('close', (code, signal) => {
      const how = signal ?? `code ${String(code)}`;
      inbox.end(new Error(`${path} ended with ${how} before that message\n${errors.text}`));
      void running.exited.then(() => resolve({ code, signal }));
    });
  });
  const stop = async (): Promise<ProcessExit> => {
    await running.terminate();
    return exited;
  };
  return {
    pid: running.pid,
    messages: inbox.values,
    get stdout() {
      return output.text;
    },
    get stderr() {
      return errors.text;
    },
    exited,
    next: inbox.next.bind(inbox),
    send: (message) =>
      new Promise((resolve, reject) => {
        child.send(message as object, (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      }),
    suspend: () => running.suspend(),
    resume: () => running.resume(),
    kill: async () => {
      await running.kill();
      return exited;
    },
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
    },
  };
}

function collectText(stream: Readable | null): { readonly text: string } {
  const collected = { text: '' };
  stream?.setEncoding('utf8').on('data', (text: string) => {
    collected.text += text;
  });
  return collected;
}
