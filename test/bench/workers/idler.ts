import { connect } from '../../support/redis-clients.js';
import { credstream } from './library.js';
import { serve } from './serve.js';

const calls = {
  /** Watches so many keys over one client, and leaves it at that. */
  async open({ url, count, heartbeatMs }: { url: string; count: number; heartbeatMs: number }) {
    const client = connect(url, { connectionName: 'caller' });
    const stores = Array.from(
      { length: count },
      (_, nth) =>
        new credstream.RedisCredentialStore(client, { key: `bench:idle:${nth}`, heartbeatMs }),
    );
    await Promise.all(stores.map((store) => store.ready()));
    // The connection for writing is made by the first who needs it.
    await stores[0]!.save({ accessToken: 'a' });
  },
};
export type IdlerCalls = typeof calls;

serve(calls);
