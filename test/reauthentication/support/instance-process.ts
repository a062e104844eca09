/** One process of the cluster: a store, a reauthenticator on it, and an application that uses both. It does what the test tells it. */
import { ReauthenticatingInstance } from './reauthenticating-instance.js';
import type { InstanceAnswers, InstanceMessage, NumberedOrder } from './instance-protocol.js';

let instance: ReauthenticatingInstance | undefined;

function send(message: InstanceMessage): void {
  if (process.connected) process.send?.(message);
}

async function carryOut(order: NumberedOrder): Promise<InstanceAnswers[keyof InstanceAnswers]> {
  if (order.does === 'open') {
    instance = await ReauthenticatingInstance.open(order.settings, send);
    return undefined;
  }
  if (instance === undefined) throw new Error(`nothing is open for ${order.does}`);
  switch (order.does) {
    case 'close': {
      const closing = instance;
      instance = undefined;
      return closing.close();
    }
    case 'ask':
      instance.ask(order.minValidityMs);
      return undefined;
    case 'stop-asking':
      return instance.stopAsking();
    case 'get': {
      const { minValidityMs, timeoutMs } = order;
      return instance.get({ minValidityMs, timeoutMs });
    }
    case 'use':
      return instance.use(order.times);
    case 'reject':
      return instance.reject(order.times);
    case 'pass':
      instance.pass(order.at);
      return undefined;
    case 'view':
      return instance.view();
  }
}

process.on('message', (order: NumberedOrder) => {
  void carryOut(order).then((answer) => send({ type: 'answer', id: order.id, answer }));
});
process.once('SIGTERM', () => {
  void (async () => {
    const closed = await instance?.close();
    if (closed !== undefined) send({ type: 'ended', ...closed });
    process.disconnect();
  })();
});
send({ type: 'ready' });
