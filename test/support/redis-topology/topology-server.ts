import { freePort } from '../free-port.js';
import { connect, disconnect } from '../redis-clients.js';
import { abilitiesOf, type ServerAbilities } from '../server-abilities.js';
import { findRedisProgram, type RedisProvider, type RedisServer } from '../redis-server/index.js';

let provider: Promise<RedisProvider> | undefined;
let abilities: Promise<ServerAbilities> | undefined;

/** The abilities of the program that servers of a topology are started from, as one of them says. */
export function programAbilities(): Promise<ServerAbilities> {
  abilities ??= askOne();
  return abilities;
}

async function askOne(): Promise<ServerAbilities> {
  const { server } = await startTopologyServer({ config: () => ({}) });
  const admin = connect(server);
  try {
    return await abilitiesOf(admin);
  } finally {
    await disconnect(admin);
    await server.stop();
  }
}

/** What one server of a topology is started with. */
export interface TopologyServerOptions {
  /** redis.conf for the extra ports that the server needs, in the order asked for. */
  readonly config: (extraPorts: readonly number[]) => Readonly<Record<string, string>>;
  readonly extraPorts?: number;
  readonly args?: readonly string[];
}

/** A server process, and the ports that it has beside the usual one. */
export interface TopologyServer {
  readonly server: RedisServer;
  readonly extraPorts: readonly number[];
}

/** Starts a process that may be one of many; with other ports when somebody else was faster to take one. */
export async function startTopologyServer({
  config,
  extraPorts = 0,
  args = [],
}: TopologyServerOptions): Promise<TopologyServer> {
  provider ??= findRedisProgram();
  for (let attempt = 1; ; attempt += 1) {
    const ports: number[] = [];
    while (ports.length < extraPorts) ports.push(await freePort());
    try {
      const server = await (await provider).start({ config: config(ports), args });
      return { server, extraPorts: ports };
    } catch (error) {
      const taken = extraPorts > 0 && /address already in use/i.test(String(error));
      if (!taken || attempt === 5) throw error;
    }
  }
}

/** Starts all of them, or none: what has started is stopped when one does not. */
export async function startAll<T>(
  starts: readonly (() => Promise<T>)[],
  stop: (started: T) => Promise<void>,
): Promise<T[]> {
  const settled = await Promise.allSettled(starts.map((start) => start()));
  const started = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = settled.find((one) => one.status === 'rejected');
  if (failed === undefined) return started;
  await Promise.all(started.map(stop));
  throw failed.reason;
}
