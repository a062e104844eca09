import { startNodeProcess } from '../../../test/support/node-process.js';

/** What a client of the server has to know. */
export interface OAuthServerAddress {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
}

/** A running server. */
export interface OAuthServer extends AsyncDisposable {
  readonly address: OAuthServerAddress;
}

const START_DEADLINE_MS = 15_000;

/** Starts a real OAuth server on a free port; its access tokens last `tokenSeconds`. */
export async function startOAuthServer(tokenSeconds: number): Promise<OAuthServer> {
  const child = await startNodeProcess<OAuthServerAddress>(
    new URL('./provider-process.ts', import.meta.url),
    { env: { DEMO_TOKEN_SECONDS: String(tokenSeconds) } },
  );
  try {
    const address = await child.next(() => true, START_DEADLINE_MS);
    return { address, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
  } catch (error) {
    await child.stop();
    throw error;
  }
}
