import * as oauth from 'openid-client';

import type { AccessToken } from '../access-token.js';
import { browseUntil } from './headless-browser.js';
import type { OAuthServerAddress } from './oauth-server.js';

/** An access token and how long the server said it lasts. */
export interface IssuedToken {
  readonly token: AccessToken;
  readonly lastsSeconds: number;
}

/** A user who has logged in: the part of an application that talks to the OAuth server. */
export class OAuthSession {
  readonly #configuration: oauth.Configuration;
  #refreshToken: string;

  /** Logs in by the authorization code flow with PKCE. */
  static async logIn(address: OAuthServerAddress): Promise<[OAuthSession, IssuedToken]> {
    const configuration = await oauth.discovery(
      new URL(address.issuer),
      address.clientId,
      address.clientSecret,
      undefined,
      // Marked as deprecated to give one pause. This plain http never leaves the machine.
      // eslint-disable-next-line @typescript-eslint/no-deprecated
      { execute: [oauth.allowInsecureRequests] },
    );
    const pkceCodeVerifier = oauth.randomPKCECodeVerifier();
    const expectedState = oauth.randomState();
    const loginPage = oauth.buildAuthorizationUrl(configuration, {
      redirect_uri: address.redirectUri,
      scope: 'openid',
      state: expectedState,
      code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    });
    const callback = await browseUntil(address.redirectUri, loginPage);
    const tokens = await oauth.authorizationCodeGrant(configuration, callback, {
      pkceCodeVerifier,
      expectedState,
      idTokenExpected: true,
    });
    return [new OAuthSession(configuration, refreshTokenOf(tokens)), issued(tokens)];
  }

  private constructor(configuration: oauth.Configuration, refreshToken: string) {
    this.#configuration = configuration;
    this.#refreshToken = refreshToken;
  }

  /** What an access token of this session opens. */
  get userinfoUrl(): string {
    return this.#configuration.serverMetadata().userinfo_endpoint!;
  }

  /** Gets a new access token, and the next refresh token with it. */
  async refresh(): Promise<IssuedToken> {
    const tokens = await oauth.refreshTokenGrant(this.#configuration, this.#refreshToken);
    this.#refreshToken = refreshTokenOf(tokens);
    return issued(tokens);
  }
}

type Tokens = oauth.TokenEndpointResponse & oauth.TokenEndpointResponseHelpers;

function refreshTokenOf(tokens: Tokens): string {
  if (tokens.refresh_token === undefined) throw new Error('the server issued no refresh token');
  return tokens.refresh_token;
}

function issued(tokens: Tokens): IssuedToken {
  const lastsSeconds = tokens.expiresIn();
  if (lastsSeconds === undefined)
    throw new Error('the server did not say how long its token lasts');
  return { token: { accessToken: tokens.access_token }, lastsSeconds };
}
