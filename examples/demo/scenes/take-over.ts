import type { Scene } from './scene.js';

export const takeOver: Scene = {
  name: 'take-over',
  title:
    'The instance that holds the lease is killed in the middle of its call; another one takes over',
  async play({ stage, loginWitness }) {
    if (stage.instances.some(({ kill }) => kill === undefined)) {
      loginWitness.leaveOut(
        'Without a Redis all instances are in this one process, and none can be killed without the others: the takeover is left out.',
      );
    } else {
      await loginWitness.shutGates();
      const { instance } = await loginWitness.seeCall();
      const { instance: successor } = await loginWitness.seeTakeover(instance);
      await loginWitness.seeRefresh(successor);
    }
    await loginWitness.checkAll();
  },
};
