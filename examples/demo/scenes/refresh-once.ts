import { connectClient, logIn, tokensOf } from '../../support/oauth-client.js';
import type { Scene } from './scene.js';

export const refreshOnce: Scene = {
  name: 'refresh-once',
  title:
    'All instances share one login and ask for its token all the time; near its end one of them refreshes it',
  async play({ stage, loginWitness, oauthServer }) {
    const client = await connectClient(oauthServer);
    const tokens = tokensOf(await logIn(client, oauthServer));
    await loginWitness.begin(
      `store.save(<tokens>); on every instance: new Reauthenticator(store, { leadFraction: 0.5, leaseMs: ${loginWitness.leaseMs}, refresh })`,
      () => stage.logins.save(tokens),
      client.serverMetadata().userinfo_endpoint!,
    );
    const { instance } = await loginWitness.seeCall();
    await loginWitness.seeRefresh(instance);
  },
};
