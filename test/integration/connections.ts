import type { Redis } from 'ioredis';

/** One line of CLIENT LIST: `name`, `cmd`, `db`, `resp`, `sub` … */
export type Connection = Readonly<Record<string, string>>;

/** All connections of a server. */
export async function connections(redis: Redis): Promise<Connection[]> {
  const list = (await redis.client('LIST')) as string;
  return list
    .trim()
    .split('\n')
    .map((line) => {
      const fields = line.split(' ').map((field) => {
        const [name = '', ...value] = field.split('=');
        return [name, value.join('=')];
      });
      return Object.fromEntries(fields) as Connection;
    });
}

/** Those with a name. */
export async function connectionsOf(redis: Redis, name: string): Promise<Connection[]> {
  return (await connections(redis)).filter((one) => one['name'] === name);
}

/** Those that stores have opened. */
export async function storeConnections(redis: Redis): Promise<Connection[]> {
  return (await connections(redis)).filter((one) => one['name']?.startsWith('credstream:'));
}
