import { Cluster } from 'ioredis';

import { connect } from '../../support/redis-clients.js';
import { credstream } from './library.js';

/** About what an OAuth server gives out. */
export interface Token {
  readonly number: number;
  readonly accessToken: string;
  readonly refreshToken: string;
}

export interface Place {
  readonly url: string;
  /** Where the store is in a cluster: some of its servers. What is done by hand is not. */
  readonly cluster?: readonly { readonly host: string; readonly port: number }[];
  readonly key: string;
  readonly channel: string;
  readonly keyByHand: string;
  readonly channelByHand: string;
}

/** A store on a client of its own. */
export function openStore({
  url,
  cluster,
  key,
}: Place): InstanceType<typeof credstream.RedisCredentialStore<Token>> {
  const client = cluster === undefined ? connect(url) : new Cluster([...cluster]);
  return new credstream.RedisCredentialStore<Token>(client, { key });
}
