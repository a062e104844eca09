import { startNodeProcess } from '../../support/node-process.js';
import { eventually } from '../../support/wait.js';
import type {
  Behavior,
  ProviderAddress,
  ProviderMessage,
  ProviderOrder,
  ProviderReport,
} from './provider-protocol.js';

const START_DEADLINE_MS = 30_000;

type WithoutId<Order> = Order extends unknown ? Omit<Order, 'id'> : never;

/** A running provider. */
export interface TestProvider {
  readonly address: ProviderAddress;
  /** How it behaves from now on. */
  behave(
    behavior: Behavior['type'] | Behavior,
    more?: { tokenSeconds?: number; shortLived?: number; rotation?: boolean },
  ): Promise<void>;
  tell(does: Exclude<ProviderOrder['does'], 'behave' | 'report'>): Promise<void>;
  /** What it has seen since the last reset. */
  report(): Promise<ProviderReport>;
  stop(): Promise<unknown>;
}

export async function startProvider(): Promise<TestProvider> {
  const child = await startNodeProcess<ProviderMessage, ProviderOrder>(
    new URL('./provider-process.ts', import.meta.url),
  );
  let ids = 0;
  const call = async (order: WithoutId<ProviderOrder>): Promise<ProviderReport> => {
    ids += 1;
    const id = ids;
    await child.send({ ...order, id });
    return eventually(() => {
      const done = child.messages.find((one) => one.type === 'done' && one.id === id);
      if (done?.type !== 'done') throw new Error(`the provider has not done ${order.does}`);
      return done.report;
    });
  };
  try {
    const first = await child.next(({ type }) => type === 'address', START_DEADLINE_MS);
    if (first.type !== 'address') throw new Error('the provider has no address');
    return {
      address: first.address,
      behave: async (behavior, more = {}) => {
        const how = typeof behavior === 'string' ? ({ type: behavior } as Behavior) : behavior;
        await call({ does: 'behave', behavior: how, ...more });
      },
      tell: async (does) => {
        await call({ does });
      },
      report: () => call({ does: 'report' }),
      stop: () => child.stop(),
    };
  } catch (error) {
    await child.stop();
    throw error;
  }
}
