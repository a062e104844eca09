import type { NotificationMode } from 'credstream';

import { startNodeProcess, type NodeProcess } from '../../../test/support/node-process.js';
import type { Asked, LoginNews, LoginSettings } from '../login/login-news.js';
import type { DemoInstance } from './demo-instance.js';
import type { InstanceChange } from './instance-change.js';

/** What an instance's process sends. */
export type FromInstance =
  | { readonly kind: 'ready'; readonly notifications: NotificationMode }
  | { readonly kind: 'told'; readonly change: InstanceChange }
  | { readonly kind: 'used'; readonly status?: number }
  | { readonly kind: 'keeping' }
  | { readonly kind: 'news'; readonly news: LoginNews }
  | { readonly kind: 'asked'; readonly asked: Asked };

/** What an instance's process is sent to do. */
export type ToInstance =
  | { readonly do: 'use token' | 'use login'; readonly url: string }
  | { readonly do: 'keep login'; readonly settings: LoginSettings }
  | { readonly do: 'set gate'; readonly open: boolean }
  | { readonly do: 'tell what was asked' };

/** What an instance connects to and watches. */
export interface RemoteInstanceOptions {
  readonly redisUrl: string;
  /** Options of its stores. */
  readonly store: { readonly key: string; readonly pollMs: number };
  readonly logins: { readonly key: string; readonly pollMs: number };
}

const START_DEADLINE_MS = 60_000;

/** Starts a process with a store of its own; resolves when that is live. */
export async function startRemoteInstance(
  name: string,
  { redisUrl, store, logins }: RemoteInstanceOptions,
): Promise<DemoInstance> {
  const child = await startNodeProcess<FromInstance, ToInstance>(
    new URL('./instance-process.ts', import.meta.url),
    {
      env: {
        DEMO_REDIS_URL: redisUrl,
        DEMO_STORE: JSON.stringify(store),
        DEMO_LOGINS: JSON.stringify(logins),
      },
    },
  );
  try {
    const { notifications } = await child.next(ofKind('ready'), START_DEADLINE_MS);
    return new RemoteInstance(name, notifications, child);
  } catch (error) {
    await child.stop();
    throw error;
  }
}

class RemoteInstance implements DemoInstance {
  readonly name: string;
  readonly notifications: NotificationMode;
  readonly #child: NodeProcess<FromInstance, ToInstance>;
  #killed = false;

  constructor(
    name: string,
    notifications: NotificationMode,
    child: NodeProcess<FromInstance, ToInstance>,
  ) {
    this.name = name;
    this.notifications = notifications;
    this.#child = child;
  }

  get where(): string {
    return `process ${this.#child.pid}`;
  }

  get told(): readonly InstanceChange[] {
    return this.#child.messages.filter(ofKind('told')).map(({ change }) => change);
  }

  async next(timeoutMs: number): Promise<InstanceChange> {
    const { change } = await this.#child.next(ofKind('told'), timeoutMs);
    return change;
  }

  async useToken(url: string): Promise<number | undefined> {
    await this.#child.send({ do: 'use token', url });
    const { status } = await this.#child.next(ofKind('used'));
    return status;
  }

  async keepLogin(settings: LoginSettings): Promise<void> {
    await this.#child.send({ do: 'keep login', settings });
    await this.#child.next(ofKind('keeping'), START_DEADLINE_MS);
  }

  get loginNews(): readonly LoginNews[] {
    return this.#child.messages.filter(ofKind('news')).map(({ news }) => news);
  }

  async setGate(open: boolean): Promise<void> {
    await this.#child.send({ do: 'set gate', open });
  }

  async useLogin(url: string): Promise<number> {
    await this.#child.send({ do: 'use login', url });
    const { status = 0 } = await this.#child.next(ofKind('used'));
    return status;
  }

  async asked(): Promise<Asked> {
    await this.#child.send({ do: 'tell what was asked' });
    const { asked } = await this.#child.next(ofKind('asked'));
    return asked;
  }

  async kill(): Promise<void> {
    this.#killed = true;
    await this.#child.kill();
  }

  async stop(): Promise<void> {
    const { code, signal } = await this.#child.stop();
    if (code === 0 || this.#killed) return;
    throw new Error(`${this.name} ended with ${signal ?? `code ${code}`}: ${this.#child.stderr}`);
  }
}

function ofKind<Kind extends FromInstance['kind']>(kind: Kind) {
  return (message: FromInstance): message is Extract<FromInstance, { kind: Kind }> =>
    message.kind === kind;
}
