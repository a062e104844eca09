/**
 * An OpenID provider as they are in the world: refresh tokens are good for one use, and using one twice revokes the whole grant. What is added
 * stands in front of its token endpoint and makes it slow, fail, or keep its answers.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { Provider, type Configuration } from 'oidc-provider';

import type {
  Behavior,
  ProviderMessage,
  ProviderOrder,
  ProviderReport,
  RefreshCall,
} from './provider-protocol.js';

const CLIENT_ID = 'app';
const REDIRECT_URI = 'http://127.0.0.1/callback';
const LONG_SECONDS = 3_600;

let behavior: Behavior = { type: 'normal' };
let tokenSeconds = LONG_SECONDS;
let shortLived = Infinity;
let rotation = true;
let calls: RefreshCall[] = [];
let revoked = 0;
let lastAnswer: string | undefined;
const grants = new Set<string>();
const accessTokens = new Set<string>();

const clientSecret = randomBytes(24).toString('base64url');
const configuration: Configuration = {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: clientSecret,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: [REDIRECT_URI],
    },
  ],
  cookies: { keys: [randomBytes(24).toString('base64url')] },
  ttl: {
    AccessToken: () => (calls.length >= shortLived ? LONG_SECONDS : tokenSeconds),
    IdToken: 60,
    RefreshToken: LONG_SECONDS,
    Interaction: 60,
    Session: LONG_SECONDS,
    Grant: LONG_SECONDS,
  },
  features: { devInteractions: { enabled: false } },
  issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => rotation,
  findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  loadExistingGrant: async ({ oidc }) => {
    const grant = new oidc.provider.Grant({
      clientId: oidc.client!.clientId,
      accountId: oidc.session!.accountId!,
    });
    grant.addOIDCScope('openid');
    grants.add(await grant.save());
    return grant;
  },
  interactions: { url: (_context, { uid }) => `/login/${uid}` },
};

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, configuration);
const answer = provider.callback();
provider.on('grant.revoked', () => {
  revoked += 1;
});
provider.on('access_token.saved', ({ jti }) => {
  accessTokens.add(jti);
});

server.on('request', (request, response) => {
  const path = request.url ?? '';
  if (path.startsWith('/login/')) {
    // The login page of a provider that already knows who is there.
    provider
      .interactionFinished(request, response, { login: { accountId: 'user' } })
      .catch(() => response.writeHead(400).end());
  } else if (path.startsWith('/token') && request.headers['x-refresh'] === '1') {
    void refresh(request, response);
  } else {
    void answer(request, response);
  }
});

async function refresh(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const call: RefreshCall = { at: Date.now(), outcome: 'pending' };
  calls.push(call);
  const now = behavior;
  if (now.type === 'down') {
    call.outcome = 'down';
    response.writeHead(500).end();
    return;
  }
  if (now.type === 'same') {
    call.outcome = 'same';
    response.writeHead(200, { 'content-type': 'application/json' }).end(lastAnswer);
    return;
  }
  if (now.type === 'slow') {
    await delay(now.ms);
    if (response.destroyed) {
      call.outcome = 'gone';
      return;
    }
  }
  interceptEnd(response, (body, send) => {
    if (response.statusCode === 200) lastAnswer = body;
    if (response.statusCode !== 200) call.outcome = 'invalid_grant';
    else call.outcome = now.type === 'lost' ? 'spent' : 'granted';
    if (call.outcome !== 'spent') send();
  });
  await answer(request, response);
}

/** Hands over the whole body instead of sending it. */
function interceptEnd(
  response: ServerResponse,
  hand: (body: string, send: () => void) => void,
): void {
  const end = response.end.bind(response) as (body: string) => ServerResponse;
  response.end = ((body: string | Buffer = '') => {
    hand(String(body), () => end(String(body)));
    return response;
  }) as ServerResponse['end'];
}

async function carryOut(order: ProviderOrder): Promise<void> {
  switch (order.does) {
    case 'behave':
      behavior = order.behavior ?? behavior;
      tokenSeconds = order.tokenSeconds ?? tokenSeconds;
      shortLived = order.shortLived ?? shortLived;
      rotation = order.rotation ?? rotation;
      break;
    case 'reset':
      behavior = { type: 'normal' };
      [tokenSeconds, shortLived, rotation] = [LONG_SECONDS, Infinity, true];
      [calls, revoked] = [[], 0];
      break;
    case 'report':
      break;
    case 'revoke':
      for (const id of grants) {
        await provider.RefreshToken.revokeByGrantId(id);
        await provider.AccessToken.revokeByGrantId(id);
      }
      grants.clear();
      break;
    case 'revoke-access':
      for (const jti of accessTokens) await (await provider.AccessToken.find(jti))?.destroy();
      accessTokens.clear();
      break;
    case 'vanish':
      server.close();
      server.closeAllConnections();
      break;
    case 'return':
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      break;
  }
}

function send(message: ProviderMessage): void {
  process.send?.(message);
}

process.on('message', (order: ProviderOrder) => {
  void carryOut(order).then(() => {
    const report: ProviderReport = { calls, revoked };
    send({ type: 'done', id: order.id, report });
  });
});
send({
  type: 'address',
  address: { issuer, clientId: CLIENT_ID, clientSecret, redirectUri: REDIRECT_URI },
});
process.once('disconnect', () => process.exit());
// Who started it may be gone before it could listen.
if (!process.connected) process.exit();
