import { type Scene, sessionOf } from './scene.js';

export const expire: Scene = {
  name: 'expire',
  title: 'Nobody refreshes it; the token reaches its end',
  async play(context) {
    const { stage, witnesses } = context;
    await witnesses.seeExpiry({
      step: 'expired',
      does: 'nothing is written until the deadline of the server',
      deadline: await stage.outside.deadline(),
    });
    await witnesses.useTokens('expired', sessionOf(context).userinfoUrl, 'no token');
  },
};
