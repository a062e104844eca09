import type { Redis } from 'ioredis';

/** The server's clock in epoch milliseconds, with fractions. */
export async function serverNow(client: Redis): Promise<number> {
  const [seconds, micros] = await client.time();
  return Number(seconds) * 1000 + Number(micros) / 1000;
}

/** The connections that stores have open, as `id name`. */
export async function credstreamClients(client: Redis): Promise<string[]> {
  const list = (await client.client('LIST')) as string;
  const found = list.matchAll(/^id=(\d+) .*? name=(credstream:\S+)/gm);
  return Array.from(found, ([, id, name]) => `${id!} ${name!}`);
}
