import { Readable } from 'node:stream';

import type * as Testcontainers from 'testcontainers';
import type { StartedTestContainer } from 'testcontainers';

import { BASE_CONFIG, configFile, type RedisConfig } from './redis-config.js';

/** Where a server keeps its data inside its container. */
export const DATA = '/data';

const START_DEADLINE_MS = 60_000;
const INSIDE_PORT = 6379;

/** What a container runs. */
export interface ContainerSetup {
  readonly image: string;
  readonly port: number;
  readonly args: readonly string[];
  readonly config: RedisConfig;
}

type EngineClient = Awaited<ReturnType<typeof Testcontainers.getContainerRuntimeClient>>;
/** The engine's own view of a container. */
export type EngineContainer = ReturnType<EngineClient['container']['getById']>;

/** Starts a container, with the content of an earlier {@link DATA} directory if given. */
export async function runContainer(
  { image, port, args }: ContainerSetup,
  config: RedisConfig,
  data?: Buffer,
): Promise<StartedTestContainer> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers');
  const client = await getContainerRuntimeClient();

  class RedisContainer extends GenericContainer {
    #id: string | undefined;

    publish(): this {
      this.withExposedPorts({ container: INSIDE_PORT, host: port });
      // On an engine elsewhere the port must be reachable from outside; here nobody else shall see it.
      const hostIp = isLocal(client.info.containerRuntime.host) ? '127.0.0.1' : '';
      this.hostConfig.PortBindings = {
        [`${INSIDE_PORT}/tcp`]: [{ HostIp: hostIp, HostPort: String(port) }],
      };
      return this;
    }

    protected override async containerCreated(id: string): Promise<void> {
      this.#id = id;
    }

    /** A container that was made but could not start, since its port was taken, is removed by nobody else. */
    async startOrRemove(): Promise<StartedTestContainer> {
      try {
        return await this.start();
      } catch (error) {
        if (this.#id !== undefined) {
          await client.container
            .getById(this.#id)
            .remove({ force: true })
            .catch(() => {});
        }
        throw error;
      }
    }
  }

  // Inside, all addresses and the usual port: what may be reached from where is decided by the published port.
  const inside = { bind: '0.0.0.0', port: String(INSIDE_PORT), dir: DATA };
  const lines = { ...BASE_CONFIG, ...config, ...inside };
  const container = new RedisContainer(image)
    .publish()
    .withCopyContentToContainer([{ content: configFile(lines), target: '/etc/redis-test.conf' }])
    .withCommand(['redis-server', '/etc/redis-test.conf', ...args])
    .withStartupTimeout(START_DEADLINE_MS)
    .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections|Server initialized/));
  if (data !== undefined) {
    container.withCopyArchivesToContainer([{ tar: Readable.from(data), target: '/' }]);
  }
  return container.startOrRemove();
}

/** Finds a container by its id. */
export async function engineContainer(id: string): Promise<EngineContainer> {
  const { getContainerRuntimeClient } = await import('testcontainers');
  const client = await getContainerRuntimeClient();
  return client.container.getById(id);
}

function isLocal(host: string): boolean {
  return host === 'localhost' || host === '127.0.0.1';
}

/** Where the published port is reached: `localhost` may mean ::1 first, where nothing is published. */
export function hostOf(container: StartedTestContainer): string {
  const host = container.getHost();
  return isLocal(host) ? '127.0.0.1' : host;
}
