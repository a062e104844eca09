/** An OpenID provider with one client and one user, in a process of its own. Sends where it is and what the client needs. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Provider, type Configuration } from 'oidc-provider';

import { monotonicMs } from '../monotonic-clock.js';
import type { FromProvider, OAuthServerAddress } from './oauth-server.js';

const USER = 'demo-user';
const CLIENT_ID = 'demo-app';
const REDIRECT_URI = 'http://127.0.0.1/callback';

const tokenSeconds = Number(process.env['DEMO_TOKEN_SECONDS']);
const clientSecret = randomBytes(24).toString('base64url');

const configuration: Configuration = {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: clientSecret,
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      response_types: ['code'],
      redirect_uris: [REDIRECT_URI],
    },
  ],
  cookies: { keys: [randomBytes(24).toString('base64url')] },
  ttl: {
    AccessToken: tokenSeconds,
    ClientCredentials: tokenSeconds,
    IdToken: 60,
    RefreshToken: 3600,
    Interaction: 60,
    Session: 3600,
    Grant: 3600,
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    revocation: { enabled: true },
  },
  issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
  // A refresh token is good for one use, as with most providers.
  rotateRefreshToken: true,
  findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  // Nobody sits in front of the demo to agree.
  loadExistingGrant: async ({ oidc }) => {
    const grant = new oidc.provider.Grant({
      clientId: oidc.client!.clientId,
      accountId: oidc.session!.accountId!,
    });
    grant.addOIDCScope('openid');
    await grant.save();
    return grant;
  },
  interactions: { url: (_context, { uid }) => `/login/${uid}` },
};

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const provider = new Provider(issuer, configuration);
const answer = provider.callback();

server.on('request', (request, response) => {
  if (request.url?.startsWith('/login/') !== true) {
    void answer(request, response);
    return;
  }
  // The login page of a provider that already knows who is there.
  provider
    .interactionFinished(request, response, { login: { accountId: USER } })
    .catch(() => response.writeHead(400).end());
});

const address: OAuthServerAddress = {
  issuer,
  clientId: CLIENT_ID,
  clientSecret,
  redirectUri: REDIRECT_URI,
};
function send(message: FromProvider): void {
  process.send?.(message);
}

provider.on('grant.success', ({ oidc }) => {
  if (oidc.params?.['grant_type'] !== 'refresh_token') return;
  send({ kind: 'refreshed', atMs: monotonicMs() });
});
// What it does when a refresh token is used for a second time: all tokens of the login are void.
provider.on('grant.revoked', () => send({ kind: 'revoked' }));

send({ kind: 'listening', address });
process.once('disconnect', () => process.exit());
// Who started it may be gone before it could listen.
if (!process.connected) process.exit();
