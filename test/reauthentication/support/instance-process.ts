/** One process of the cluster: a store, a reauthenticator on it, and an application that uses both. It does what the test tells it. */
import { ReauthenticatingInstance } from './reauthenticating-instance.js';
import type { InstanceAnswers, InstanceMessage, NumberedOrder } from './instance-protocol.js';

let node: ReauthenticatingInstance | undefined;

function send(message: InstanceMessage): void {
  if (process.connected) process.send?.(message);
}

async function carryOut(order: NumberedOrder): Promise<InstanceAnswers[keyof InstanceAnswers]> {
  if (order.does === 'open') {
    node = await ReauthenticatingInstance.open(order.settings, send);
    return undefined;
  }
  if (node === undefined) throw new Error(`nothing is open for ${order.does}`);
  switch (order.does) {
    case 'close': {
      const closing = node;
      node = undefined;
      return closing.close();
    }
    case 'ask':
      node.ask(order.minValidityMs);
      return undefined;
    case 'stop-asking':
      return node.stopAsking();
    case 'get': {
      const { minValidityMs, timeoutMs } = order;
      return node.get({ minValidityMs, timeoutMs });
    }
    case 'use':
      return node.use(order.times);
    case 'reject':
      return node.reject(order.times);
    case 'pass':
      node.pass(order.at);
      return undefined;
    case 'look':
      return node.look();
  }
}

process.on('message', (order: NumberedOrder) => {
  void carryOut(order).then((answer) => send({ type: 'answer', id: order.id, answer }));
});
process.once('SIGTERM', () => {
  void (async () => {
    const closed = await node?.close();
    if (closed !== undefined) send({ type: 'ended', ...closed });
    process.disconnect();
  })();
});
send({ type: 'ready' });
