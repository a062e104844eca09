import type { Scene } from './scene.js';

export const renew: Scene = {
  name: 'renew',
  title: 'Somebody moves its end with a plain command',
  async play({ stage, witnesses, tokenSeconds }) {
    const seconds = tokenSeconds - 1;
    await witnesses.see({
      step: 'renewed',
      does: `EXPIRE ${stage.key} ${seconds}`,
      write: () => stage.outside.expire(seconds),
      expect: { type: 'renewed' },
    });
  },
};
