import * as oauth from 'openid-client';

import { connectClient, logIn, type TokenAnswer } from '../../support/oauth-client.js';
import type { AccessToken } from '../access-token.js';
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

  static async logIn(address: OAuthServerAddress): Promise<[OAuthSession, IssuedToken]> {
    const configuration = await connectClient(address);
    const tokens = await logIn(configuration, address);
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

function refreshTokenOf(tokens: TokenAnswer): string {
  if (tokens.refresh_token === undefined) throw new Error('the server issued no refresh token');
  return tokens.refresh_token;
}

function issued(tokens: TokenAnswer): IssuedToken {
  const lastsSeconds = tokens.expiresIn();
  if (lastsSeconds === undefined)
    throw new Error('the server did not say how long its token lasts');
  return { token: { accessToken: tokens.access_token }, lastsSeconds };
}
