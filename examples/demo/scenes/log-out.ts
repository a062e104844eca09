import { tokenBytes } from '../access-token.js';
import { type Scene, sessionOf } from './scene.js';

const REASON = 'user logged out';

export const logOut: Scene = {
  name: 'log-out',
  title: 'A new token is saved, and then the user logs out',
  async play(context) {
    const { stage, witnesses } = context;
    const session = sessionOf(context);
    const { token, lastsSeconds: ttlSeconds } = await session.refresh();
    await witnesses.see({
      step: 'saved again',
      does: `store.save(<${tokenBytes(token)} bytes>, { ttlSeconds: ${ttlSeconds} })`,
      write: () => stage.store.save(token, { ttlSeconds }),
      expect: { type: 'saved', tokenBytes: tokenBytes(token) },
    });
    await witnesses.see({
      step: 'cleared',
      does: `store.clear({ reason: '${REASON}' })`,
      write: () => stage.store.clear({ reason: REASON }),
      expect: { type: 'cleared', reason: REASON },
    });
    await witnesses.useTokens('cleared', session.userinfoUrl, 'no token');
  },
};
