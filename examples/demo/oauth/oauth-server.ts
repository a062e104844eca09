import { startNodeProcess } from '../../../test/support/node-process.js';

/** What a client of the server has to know. */
export interface OAuthServerAddress {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
}

/** What the server's process sends. */
export type FromProvider =
  | { readonly kind: 'listening'; readonly address: OAuthServerAddress }
  | { readonly kind: 'refreshed'; readonly atMs: number }
  | { readonly kind: 'revoked' };

/** A running server. */
export interface OAuthServer extends AsyncDisposable {
  readonly address: OAuthServerAddress;
  /** How many refresh tokens it has exchanged so far. */
  readonly refreshes: number;
  /** How many logins it has made void because a refresh token was used twice. */
  readonly revoked: number;
}

const START_DEADLINE_MS = 60_000;

/** Starts a real OAuth server on a free port; its access tokens last `tokenSeconds`. */
export async function startOAuthServer(tokenSeconds: number): Promise<OAuthServer> {
  const child = await startNodeProcess<FromProvider>(
    new URL('./provider-process.ts', import.meta.url),
    { env: { DEMO_TOKEN_SECONDS: String(tokenSeconds) } },
  );
  try {
    const { address } = await child.next(isListening, START_DEADLINE_MS);
    const count = (kind: FromProvider['kind']): number =>
      child.messages.filter((message) => message.kind === kind).length;
    return {
      address,
      get refreshes() {
        return count('refreshed');
      },
      get revoked() {
        return count('revoked');
      },
      [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
    };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

function isListening(
  message: FromProvider,
): message is Extract<FromProvider, { kind: 'listening' }> {
  return message.kind === 'listening';
}
