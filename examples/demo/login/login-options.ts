import type { Tokens } from '../../support/oauth-client.js';

/** How every instance keeps the tokens of the login. */
export const loginOptions = {
  // The refresh token beside it is needed when the access token has ended.
  ttlSeconds: 600,
  expiresAt: (tokens: Tokens): number => tokens.expiresAt,
};
