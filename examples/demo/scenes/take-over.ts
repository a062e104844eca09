import type { Scene } from './scene.js';

export const takeOver: Scene = {
  name: 'take-over',
  title:
    'The node that holds the lease is killed in the middle of its call; another one takes over',
  async play({ stage, loginWitness }) {
    if (stage.nodes.some(({ kill }) => kill === undefined)) {
      loginWitness.leaveOut(
        'Without a Redis all nodes are in this one process, and none can be killed without the others: the takeover is left out.',
      );
    } else {
      await loginWitness.shutGates();
      const { node } = await loginWitness.seeCall();
      const { node: successor } = await loginWitness.seeTakeover(node);
      await loginWitness.seeRefresh(successor);
    }
    await loginWitness.checkAll();
  },
};
