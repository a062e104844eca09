import { storedForm, tokenBytes } from '../access-token.js';
import { type Scene, sessionOf } from './scene.js';

export const overwrite: Scene = {
  name: 'overwrite',
  title: 'The token is refreshed, and a program without credstream writes the new one',
  async play(context) {
    const { stage, witnesses } = context;
    const session = sessionOf(context);
    const { token, lastsSeconds } = await session.refresh();
    await witnesses.see({
      step: 'overwritten',
      does: `SETEX ${stage.key} ${lastsSeconds} <JSON with ${tokenBytes(token)} bytes of token>`,
      write: () => stage.outside.setex(lastsSeconds, storedForm(token)),
      expect: { type: 'saved', tokenBytes: tokenBytes(token) },
    });
    await witnesses.useTokens('overwritten', session.userinfoUrl, 200);
  },
};
