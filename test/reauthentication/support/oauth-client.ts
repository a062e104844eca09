import * as oauth from 'openid-client';

import { browseUntil } from '../../../examples/demo/oauth/headless-browser.js';
import type { ProviderAddress } from './provider-protocol.js';

/** What the application keeps of a login. */
export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

/** The application's client of the provider. */
export class OAuthClient {
  readonly #configuration: oauth.Configuration;
  readonly #address: ProviderAddress;

  static async open(address: ProviderAddress): Promise<OAuthClient> {
    const configuration = await oauth.discovery(
      new URL(address.issuer),
      address.clientId,
      address.clientSecret,
      undefined,
      // Marked as deprecated to give one pause. This plain http never leaves the machine.
      // eslint-disable-next-line @typescript-eslint/no-deprecated
      { execute: [oauth.allowInsecureRequests] },
    );
    return new OAuthClient(configuration, address);
  }

  private constructor(configuration: oauth.Configuration, address: ProviderAddress) {
    this.#configuration = configuration;
    this.#address = address;
  }

  /** By the authorization code flow with PKCE. */
  async logIn(): Promise<Tokens> {
    const pkceCodeVerifier = oauth.randomPKCECodeVerifier();
    const expectedState = oauth.randomState();
    const loginPage = oauth.buildAuthorizationUrl(this.#configuration, {
      redirect_uri: this.#address.redirectUri,
      scope: 'openid',
      state: expectedState,
      code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    });
    const callback = await browseUntil(this.#address.redirectUri, loginPage);
    return issued(
      await oauth.authorizationCodeGrant(this.#configuration, callback, {
        pkceCodeVerifier,
        expectedState,
        idTokenExpected: true,
      }),
    );
  }

  /** @param marginMs - so much earlier than the provider says the new token is taken for ended */
  async refresh(refreshToken: string, signal?: AbortSignal, marginMs = 0): Promise<Tokens> {
    const { clientId, clientSecret } = this.#address;
    // The signal belongs to this one call.
    const own = new oauth.Configuration(
      this.#configuration.serverMetadata(),
      clientId,
      clientSecret,
    );
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    oauth.allowInsecureRequests(own);
    own[oauth.customFetch] = (url, { headers, body, method, redirect, signal: other }) => {
      const signals = [signal, other].filter((one) => one !== undefined);
      const marked = { ...headers, 'x-refresh': '1' };
      return fetch(url, {
        headers: marked,
        body: body as string,
        method,
        redirect,
        signal: AbortSignal.any(signals),
      });
    };
    return issued(await oauth.refreshTokenGrant(own, refreshToken), marginMs);
  }

  /** Asks the provider for something that only valid access tokens open. */
  async useAt(accessToken: string): Promise<{ readonly status: number }> {
    const { status, body } = await fetch(this.#configuration.serverMetadata().userinfo_endpoint!, {
      headers: { authorization: `Bearer ${accessToken}` },
    });
    await body?.cancel();
    return { status };
  }
}

function issued(
  tokens: oauth.TokenEndpointResponse & oauth.TokenEndpointResponseHelpers,
  marginMs = 0,
): Tokens {
  const lastsSeconds = tokens.expiresIn();
  if (tokens.refresh_token === undefined || lastsSeconds === undefined)
    throw new Error('the provider left out what is needed');
  return {
    accessToken: tokens.access_token,
    refreshToken: tokens.refresh_token,
    expiresAt: Date.now() + lastsSeconds * 1_000 - marginMs,
  };
}
