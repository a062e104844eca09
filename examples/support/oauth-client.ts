import * as oauth from 'openid-client';

import { browseUntil } from '../demo/oauth/headless-browser.js';
import type { OAuthServerAddress } from '../demo/oauth/oauth-server.js';

/** What a login gives, as an application would store it. */
export interface Tokens {
  readonly accessToken: string;
  /** Good for one use: the provider rotates it. */
  readonly refreshToken: string;
  /** End of the access token, in epoch milliseconds. */
  readonly expiresAt: number;
}

/** A client of a provider on this machine. */
export function connectClient(address: OAuthServerAddress): Promise<oauth.Configuration> {
  return oauth.discovery(
    new URL(address.issuer),
    address.clientId,
    address.clientSecret,
    undefined,
    // Marked as deprecated to give one pause. This plain http never leaves the machine.
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    { execute: [oauth.allowInsecureRequests] },
  );
}

/** What the token endpoint answered. */
export type TokenAnswer = oauth.TokenEndpointResponse & oauth.TokenEndpointResponseHelpers;

/** Logs in by the authorization code flow with PKCE, as a browser would. */
export async function logIn(
  client: oauth.Configuration,
  { redirectUri }: OAuthServerAddress,
): Promise<TokenAnswer> {
  const pkceCodeVerifier = oauth.randomPKCECodeVerifier();
  const expectedState = oauth.randomState();
  const loginPage = oauth.buildAuthorizationUrl(client, {
    redirect_uri: redirectUri,
    scope: 'openid',
    state: expectedState,
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  });
  const callback = await browseUntil(redirectUri, loginPage);
  const checks = { pkceCodeVerifier, expectedState, idTokenExpected: true };
  return oauth.authorizationCodeGrant(client, callback, checks);
}

/** The answer as it is stored. */
export function tokensOf(answer: TokenAnswer): Tokens {
  const seconds = answer.expiresIn();
  if (answer.refresh_token === undefined || seconds === undefined)
    throw new Error('the provider issued no refresh token, or did not say how long tokens last');
  return {
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token,
    expiresAt: Date.now() + seconds * 1_000,
  };
}
