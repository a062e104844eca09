import { buffer } from 'node:stream/consumers';

import type { StartedTestContainer } from 'testcontainers';

import { passwordIn, type RedisConfig } from './redis-config.js';
import {
  DATA,
  type ContainerSetup,
  type EngineContainer,
  engineContainer,
  hostOf,
  runContainer,
} from './redis-container.js';
import type { RedisServer, RestartOptions } from './redis-server.js';
import { respCall, type RespTarget, respUntil } from './resp-call.js';

const START_DEADLINE_MS = 60_000;
const STOPPED = 'stop() has removed the container';

/** A Redis in a container, published on a fixed port of this host. Every restart is a new container. */
export class ContainerServer implements RedisServer {
  readonly kind = 'container';
  readonly pid = undefined;
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly version: string;
  readonly #setup: ContainerSetup;
  #config: RedisConfig;
  #container: StartedTestContainer | undefined;

  /** Resolves with a server that answers. */
  static async start(setup: ContainerSetup): Promise<ContainerServer> {
    const container = await runContainer(setup, setup.config);
    try {
      const { output } = await container.exec(['redis-server', '--version']);
      const version = /\bv=(\d+\.\d+\.\d+)/.exec(output)?.[1] ?? 'unknown';
      const server = new ContainerServer(setup, container, version);
      await server.#untilServing(false);
      return server;
    } catch (error) {
      await container.stop();
      throw error;
    }
  }

  private constructor(setup: ContainerSetup, container: StartedTestContainer, version: string) {
    this.#setup = setup;
    this.#config = setup.config;
    this.#container = container;
    this.host = hostOf(container);
    this.port = setup.port;
    this.url = `redis://${this.host}:${setup.port}`;
    this.version = version;
  }

  async kill(): Promise<void> {
    const { Running, Paused } = await this.#state();
    // Older engines refuse to kill what is paused.
    if (Paused) await this.resume();
    if (Running) await this.#engine((container) => container.kill());
  }

  async suspend(): Promise<void> {
    const { Running, Paused } = await this.#state();
    if (Running && !Paused) await this.#engine((container) => container.pause());
  }

  async resume(): Promise<void> {
    const { Paused } = await this.#state();
    if (Paused) await this.#engine((container) => container.unpause());
  }

  async restart({
    keepData = false,
    config,
    whileLoading = false,
  }: RestartOptions = {}): Promise<void> {
    if (this.#container === undefined) throw new Error(STOPPED);
    const data = keepData ? await this.#takeData() : undefined;
    await this.#remove();
    this.#config = { ...this.#config, ...config };
    this.#container = await runContainer(this.#setup, this.#config, data);
    await this.#untilServing(whileLoading);
  }

  async stop(): Promise<void> {
    await this.#remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #target(): RespTarget {
    return { host: this.host, port: this.port, password: passwordIn(this.#config) };
  }

  async #untilServing(whileLoading: boolean): Promise<void> {
    const accept = (reply: string): boolean =>
      reply === 'PONG' ||
      /^-(NOAUTH|NOPERM|WRONGPASS)/.test(reply) ||
      (whileLoading && reply.startsWith('-LOADING'));
    const deadline = Date.now() + START_DEADLINE_MS;
    await respUntil(this.#target, ['PING'], { accept, deadline });
  }

  /** The data directory as a tar archive, saved just now if the server still runs. */
  async #takeData(): Promise<Buffer> {
    await this.resume();
    const { Running } = await this.#state();
    if (Running) {
      const reply = await respCall(this.#target, ['SAVE'], START_DEADLINE_MS);
      if (reply !== 'OK') throw new Error(`cannot keep the data, SAVE says: ${reply}`);
    }
    return buffer(await this.#running.copyArchiveFromContainer(DATA));
  }

  async #remove(): Promise<void> {
    if (this.#container === undefined) return;
    await this.resume();
    await this.#container.stop({ timeout: 3_000 });
    this.#container = undefined;
  }

  get #running(): StartedTestContainer {
    if (this.#container === undefined) throw new Error(STOPPED);
    return this.#container;
  }

  async #state(): Promise<{ Running: boolean; Paused: boolean }> {
    if (this.#container === undefined) return { Running: false, Paused: false };
    return this.#engine(async (container) => (await container.inspect()).State);
  }

  /** What testcontainers does not offer on a started container is asked of the engine itself. */
  async #engine<T>(use: (container: EngineContainer) => Promise<T>): Promise<T> {
    return use(await engineContainer(this.#running.getId()));
  }
}
