import type { NotificationMode, ObservableCredentialStore } from 'credstream';

import { Inbox } from '../../../test/support/inbox.js';
import type { AccessToken } from '../access-token.js';
import type { DemoNode } from './demo-node.js';
import type { NodeChange } from './node-change.js';
import { useToken, watch } from './watching.js';

/** A node inside this process, for the embedded store. */
export class LocalNode implements DemoNode {
  readonly where = 'this process';
  readonly name: string;
  readonly notifications: NotificationMode;
  readonly #store: ObservableCredentialStore<AccessToken>;
  readonly #told: Inbox<NodeChange>;

  static async start(
    name: string,
    store: ObservableCredentialStore<AccessToken>,
  ): Promise<LocalNode> {
    const told = new Inbox<NodeChange>();
    const notifications = await watch(store, (change) => told.push(change));
    return new LocalNode(name, notifications, store, told);
  }

  private constructor(
    name: string,
    notifications: NotificationMode,
    store: ObservableCredentialStore<AccessToken>,
    told: Inbox<NodeChange>,
  ) {
    this.name = name;
    this.notifications = notifications;
    this.#store = store;
    this.#told = told;
  }

  get told(): readonly NodeChange[] {
    return this.#told.values;
  }

  next(timeoutMs: number): Promise<NodeChange> {
    return this.#told.next(() => true, timeoutMs);
  }

  useToken(url: string): Promise<number | undefined> {
    return useToken(this.#store, url);
  }

  stop(): Promise<void> {
    return this.#store.close();
  }
}
