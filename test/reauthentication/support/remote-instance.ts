import { type NodeProcess, startNodeProcess } from '../../support/node-process.js';
import { eventually } from '../../support/wait.js';
import type {
  InstanceAnswers,
  InstanceEvent,
  InstanceView,
  InstanceMessage,
  InstanceOrder,
  NumberedOrder,
} from './instance-protocol.js';

type Does = InstanceOrder['does'];
type Order<D extends Does> = Extract<InstanceOrder, { readonly does: D }>;
type EventOf<Type extends InstanceEvent['type']> = Extract<InstanceEvent, { readonly type: Type }>;

const START_DEADLINE_MS = 30_000;
/** More than any order takes. */
const ANSWER_DEADLINE_MS = 20_000;

/** Tests stop Redis: the one warning of that, and Node's line after the first warning. */
const EXPECTED = [
  /CredstreamWarning: Redis at \S+ could not be reached/,
  /^\(Use `node --trace-warnings/,
];

/** A process of the cluster, seen from the test. */
export class RemoteInstance {
  readonly #child: NodeProcess<InstanceMessage, NumberedOrder>;
  #ids = 0;
  /** What it had said when its present instance was opened. */
  #mark = 0;
  #running = true;

  static async start(): Promise<RemoteInstance> {
    const child = await startNodeProcess<InstanceMessage, NumberedOrder>(
      new URL('./instance-process.ts', import.meta.url),
    );
    try {
      await child.next(({ type }) => type === 'ready', START_DEADLINE_MS);
      return new RemoteInstance(child);
    } catch (error) {
      await child.stop();
      throw error;
    }
  }

  private constructor(child: NodeProcess<InstanceMessage, NumberedOrder>) {
    this.#child = child;
    void child.exited.then(() => {
      this.#running = false;
    });
  }

  get isRunning(): boolean {
    return this.#running;
  }

  get exited(): NodeProcess['exited'] {
    return this.#child.exited;
  }

  /** What it has printed: nothing is ever printed but warnings and crashes. */
  get complaints(): readonly string[] {
    const { stdout, stderr } = this.#child;
    return `${stdout}\n${stderr}`
      .split('\n')
      .filter((line) => line !== '' && !EXPECTED.some((expected) => expected.test(line)));
  }

  async call<D extends Does>(order: Order<D>): Promise<InstanceAnswers[D]> {
    this.#ids += 1;
    const id = this.#ids;
    if (order.does === 'open') this.#mark = this.#child.messages.length;
    await this.#child.send({ ...order, id });
    return eventually(
      () => {
        const found = this.#child.messages.find((one) => one.type === 'answer' && one.id === id);
        if (found?.type === 'answer') return found.answer as InstanceAnswers[D];
        if (!this.#running) throw new Error(`ended\n${this.#child.stderr}`);
        throw new Error(`no answer to ${order.does}\n${this.#child.stderr}`);
      },
      { timeoutMs: ANSWER_DEADLINE_MS },
    );
  }

  view(): Promise<InstanceView> {
    return this.call({ does: 'view' });
  }

  /** What it has said of this kind since its instance was opened. */
  said<Type extends InstanceEvent['type']>(type: Type): EventOf<Type>[] {
    const since = this.#child.messages.slice(this.#mark);
    return since.filter((one): one is EventOf<Type> => one.type === type);
  }

  /** Resolves with the first of this kind that `wants` accepts, said or to come. */
  says<Type extends InstanceEvent['type']>(
    type: Type,
    wants: (event: EventOf<Type>) => boolean = () => true,
  ): Promise<EventOf<Type>> {
    return eventually(
      () => {
        const found = this.said(type).find(wants);
        if (found === undefined)
          throw new Error(`it has not said ${type}: ${JSON.stringify(this.said(type).slice(-3))}`);
        return found;
      },
      { timeoutMs: 30_000 },
    );
  }

  isIn(state: EventOf<'state'>['state']): Promise<void> {
    return eventually(async () => {
      const view = await this.view();
      if (view.state !== state) throw new Error(`it is ${view.state}, not ${state}`);
    });
  }

  suspend(): Promise<void> {
    return this.#child.suspend();
  }

  resume(): void {
    this.#child.resume();
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#child.kill();
  }

  /** SIGTERM; SIGKILL only much later. */
  terminate(): void {
    process.kill(this.#child.pid, 'SIGTERM');
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }
}

/** Resolves with the one that waits at a gate, of those that are not excepted. */
export function whoIsAt(
  gate: 'before' | 'after',
  instances: readonly RemoteInstance[],
  ...except: readonly RemoteInstance[]
): Promise<RemoteInstance> {
  return eventually(
    () => {
      const at = instances.filter(
        (instance) =>
          !except.includes(instance) && instance.said('gate').some((one) => one.at === gate),
      );
      if (at[0] === undefined) throw new Error(`nobody is at the gate ${gate}`);
      if (at.length > 1) throw new Error('several are at the gate');
      return at[0];
    },
    { timeoutMs: 30_000 },
  );
}
