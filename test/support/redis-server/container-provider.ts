import { freePort } from '../free-port.js';
import { ContainerServer } from './container-server.js';
import type { RedisProvider, RedisServer, StartOptions } from './redis-server.js';

const PULL_DEADLINE_MS = 180_000;

/** Starts servers as containers; rejects when there is no engine, or when it can get no image. */
export async function containerProvider(image: string): Promise<RedisProvider> {
  // Imported here, because loading testcontainers takes longer than starting a redis-server.
  const { getContainerRuntimeClient, getReaper, ImageName } = await import('testcontainers');
  const client = await getContainerRuntimeClient();
  const name = ImageName.fromString(image);
  if (!(await client.image.exists(name))) {
    await within(PULL_DEADLINE_MS, `pulling ${image}`, client.image.pull(name));
  }
  // The reaper removes our containers should we die, and is itself an image that has to be there. The first start
  // would find out; finding out now leaves the other ways to get a Redis.
  await within(PULL_DEADLINE_MS, 'starting the container reaper', getReaper(client));
  return {
    kind: 'container',
    description: `container ${image}`,
    start: (options) => startContainer(image, options),
  };
}

async function startContainer(image: string, options: StartOptions = {}): Promise<RedisServer> {
  const { args = [], config = {}, dir } = options;
  if (dir !== undefined) throw new Error('dir is for servers started from a binary');
  for (let attempt = 1; ; attempt += 1) {
    // A fixed port on the host: one that Docker chose would change over a restart.
    const port = options.port ?? (await freePort());
    try {
      return await ContainerServer.start({ image, port, args, config });
    } catch (error) {
      const taken = /address already in use|port is already allocated/i.test(String(error));
      if (!taken || options.port !== undefined || attempt === 10) throw error;
    }
  }
}

async function within<T>(deadlineMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took over ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
