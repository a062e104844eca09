import { lookup } from 'node:dns';

import { Cluster } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { createAddress } from '../../src/redis/client/address.js';
import { readClusterTemplate } from '../../src/redis/client/cluster-template.js';
import { useCluster } from './support/cluster-world.js';

const world = useCluster({ masters: 3, replicasPerMaster: 0 });

describe('the options of a cluster hold for all its servers', () => {
  const ca = 'the certificate of an authority';

  it('TLS of one seed', () => {
    const seeds = [{ host: 'a.example', port: 1, tls: { ca } }];
    const template = readClusterTemplate(new Cluster(seeds, { lazyConnect: true }));
    const tlsAt = (host: string): unknown =>
      template.server(createAddress(host, 7_000)).create({ lazyConnect: true }).options.tls;
    expect(tlsAt('b.example')).toEqual({ ca, servername: 'b.example' });
    expect(tlsAt('10.0.0.1')).toEqual({ ca });
  });

  it('but no TLS where the caller gave none', () => {
    const template = readClusterTemplate(new Cluster([{ port: 1 }], { lazyConnect: true }));
    const { options } = template.server(createAddress('b', 1)).create({ lazyConnect: true });
    expect(options.tls).toBeUndefined();
  });

  it('dnsLookup of the caller, for names only it knows', async () => {
    const asked: string[] = [];
    const { host: known, port } = world.cluster.servers[0]!;
    const client = world.client({
      lazyConnect: true,
      dnsLookup: (host, found) => {
        asked.push(host);
        found(null, known, 4);
      },
    });
    Object.assign(client, { startupNodes: [{ host: 'redis.my-tunnel', port }] });
    const { store } = await world.watch('by-lookup', {}, client);
    await store.save('a');
    expect(await store.load()).toBe('a');
    expect(new Set(asked)).toEqual(new Set(['redis.my-tunnel']));
  });

  it('and a failure of dnsLookup is told with its code', async () => {
    const failure = Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' });
    const client = new Cluster([{ host: 'redis.my-tunnel', port: 1 }], {
      lazyConnect: true,
      dnsLookup: (_host, found) => {
        found(failure, '', 4);
      },
    });
    await expect(world.open('a', {}, client).load()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      cause: { code: 'ENOTFOUND' },
    });
  });

  it('the lookup of Node.js is left to the connection', async () => {
    const template = readClusterTemplate(
      new Cluster([{ port: 1 }], { lazyConnect: true, dnsLookup: lookup }),
    );
    expect(await template.server(createAddress('b.example', 1)).locate?.()).toEqual({});
  });
});
