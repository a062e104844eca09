import { type FileHandle, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { type GuardedProcess, spawnGuarded } from '../guarded-process.js';
import { BASE_CONFIG, configFile, passwordIn, type RedisConfig } from './redis-config.js';
import type { RedisBinary } from './redis-binary.js';
import type { RedisServer, RestartOptions } from './redis-server.js';
import { respCall, type RespTarget } from './resp-call.js';

const START_DEADLINE_MS = 60_000;

/** The port was free a moment ago, and is not any more. */
export class PortTakenError extends Error {
  override name = 'PortTakenError';
}

/** What a {@link BinaryServer} is made of. */
export interface BinaryServerSetup {
  readonly binary: RedisBinary;
  readonly port: number;
  readonly dir: string;
  /** The directory was made for this server and goes with it. */
  readonly temporary: boolean;
  readonly args: readonly string[];
  readonly config: RedisConfig;
}

/** A redis-server process on a port of its own, which it keeps over restarts. */
export class BinaryServer implements RedisServer {
  readonly kind = 'binary';
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly url: string;
  readonly version: string;
  readonly #setup: BinaryServerSetup;
  readonly #logPath: string;
  #config: RedisConfig;
  #process: GuardedProcess | undefined;
  #stopped = false;

  constructor(setup: BinaryServerSetup) {
    this.#setup = setup;
    this.#config = setup.config;
    this.#logPath = join(setup.dir, 'redis.log');
    this.port = setup.port;
    this.url = `redis://${this.host}:${setup.port}`;
    this.version = setup.binary.version;
  }

  get pid(): number | undefined {
    return this.#process?.isRunning === true ? this.#process.pid : undefined;
  }

  /** Starts the process and waits until it serves; throws {@link PortTakenError} when it could not bind. */
  async launch({ whileLoading = false }: { whileLoading?: boolean } = {}): Promise<void> {
    const { binary, dir, temporary, args } = this.#setup;
    const conf = join(dir, 'redis.conf');
    const lines = { ...BASE_CONFIG, port: String(this.port), dir: `"${dir}"`, ...this.#config };
    await writeFile(conf, configFile(lines));
    const log = await open(this.#logPath, 'w');
    this.#process = await spawnIntoLog(binary, [conf, ...args], log, {
      ...(temporary && { removeWithOrphan: dir }),
    });
    try {
      await this.#untilServing(this.#process, whileLoading);
    } catch (error) {
      await this.#process.kill();
      throw error;
    }
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  async suspend(): Promise<void> {
    await this.#process?.suspend();
  }

  async resume(): Promise<void> {
    this.#process?.resume();
  }

  async restart({ keepData = false, config, whileLoading }: RestartOptions = {}): Promise<void> {
    if (this.#stopped) throw new Error('stop() has removed what a restart needs');
    if (keepData && this.#process?.isRunning === true) await this.#save(this.#process);
    await this.kill();
    if (!keepData) await this.#removeData();
    this.#config = { ...this.#config, ...config };
    const deadline = Date.now() + START_DEADLINE_MS;
    for (;;) {
      try {
        await this.launch({ whileLoading: whileLoading ?? false });
        return;
      } catch (error) {
        // Our port is below the range of outgoing connections, so whoever has it is another test looking for one.
        if (!(error instanceof PortTakenError) || Date.now() > deadline) throw error;
        await delay(50);
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#process?.terminate();
    if (this.#setup.temporary) await rm(this.#setup.dir, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #target(): RespTarget {
    return { host: this.host, port: this.port, password: passwordIn(this.#config) };
  }

  async #save(running: GuardedProcess): Promise<void> {
    running.resume();
    const reply = await respCall(this.#target, ['SAVE'], START_DEADLINE_MS);
    if (reply !== 'OK') throw new Error(`cannot keep the data, SAVE says: ${reply}`);
  }

  /** Not the whole directory: a cluster server finds its identity in nodes.conf. */
  async #removeData(): Promise<void> {
    const names = await readdir(this.#setup.dir);
    const data = names.filter((name) => name.endsWith('.rdb') || name.startsWith('appendonly'));
    for (const name of data) await rm(join(this.#setup.dir, name), { recursive: true });
  }

  async #untilServing(running: GuardedProcess, whileLoading: boolean): Promise<void> {
    const deadline = Date.now() + START_DEADLINE_MS;
    for (;;) {
      if (!running.isRunning) throw await this.#startError('ended');
      if (Date.now() > deadline) throw await this.#startError('does not answer');
      const reply = await respCall(this.#target, ['PING'], 500).catch(() => '');
      const answers = reply !== '' && (whileLoading || !reply.startsWith('-LOADING'));
      if (answers && (await this.#isOurs(running.pid))) return;
      await delay(5);
    }
  }

  /**
   * That somebody answers on the port does not say who: another test may have taken it just before us, and our process is
   * about to find that out. A server that will not tell its pid (ACL, loading) is recognised by the log.
   */
  async #isOurs(pid: number): Promise<boolean> {
    const info = await respCall(this.#target, ['INFO', 'server'], 500).catch(() => '');
    const told = /^process_id:(\d+)/m.exec(info)?.[1];
    if (told !== undefined) return Number(told) === pid;
    return /Ready to accept connections|Server initialized/.test(await this.#log());
  }

  async #startError(what: string): Promise<Error> {
    const log = await this.#log();
    const tail = log.trimEnd().split('\n').slice(-5).join('\n');
    const message = `${this.#setup.binary.command} on port ${this.port} ${what}:\n${tail}`;
    return /Address already in use/i.test(log) ? new PortTakenError(message) : new Error(message);
  }

  #log(): Promise<string> {
    return readFile(this.#logPath, 'utf8');
  }
}

async function spawnIntoLog(
  binary: RedisBinary,
  args: readonly string[],
  log: FileHandle,
  options: { removeWithOrphan?: string },
): Promise<GuardedProcess> {
  try {
    return await spawnGuarded(binary.command, args, {
      ...options,
      env: { ...process.env, ...binary.env },
      // A file rather than pipes: a suspended or chatty server can fill nothing, and the log survives for the message.
      stdio: ['ignore', log.fd, log.fd],
    });
  } finally {
    await log.close();
  }
}
