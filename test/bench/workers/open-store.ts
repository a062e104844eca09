import { Cluster } from 'ioredis';

import { connect } from '../../support/redis-clients.js';
import { credstream } from './library.js';
import type { Place, Token } from './saver.js';

/** A store on a client of its own. */
export function openStore({
  url,
  cluster,
  key,
}: Place): InstanceType<typeof credstream.RedisCredentialStore<Token>> {
  const client = cluster === undefined ? connect(url) : new Cluster([...cluster]);
  return new credstream.RedisCredentialStore<Token>(client, { key });
}
