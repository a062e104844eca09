import { OAuthSession } from '../oauth/oauth-session.js';
import type { Scene } from './scene.js';
import { tokenBytes } from '../access-token.js';

export const logIn: Scene = {
  name: 'log-in',
  title: 'A user logs in; the application saves the access token',
  async play(context) {
    const { stage, witnesses, oauthServer, tokenSeconds } = context;
    const [session, { token }] = await OAuthSession.logIn(oauthServer);
    context.session = session;
    // Shorter than it lasts, so that the next scene can make it longer.
    const ttlSeconds = tokenSeconds - 2;
    await witnesses.see({
      step: 'saved',
      does: `store.save(<${tokenBytes(token)} bytes>, { ttlSeconds: ${ttlSeconds} })`,
      write: () => stage.store.save(token, { ttlSeconds }),
      expect: { type: 'saved', tokenBytes: tokenBytes(token) },
    });
    await witnesses.useTokens('saved', session.userinfoUrl, 200);
  },
};
