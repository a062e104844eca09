import type {
  MemoryCredentialStore,
  NotificationMode,
  ObservableCredentialStore,
} from 'credstream';

import { Inbox } from '../../../test/support/inbox.js';
import type { Tokens } from '../../support/oauth-client.js';
import type { AccessToken } from '../access-token.js';
import { LoginKeeper } from '../login/login-keeper.js';
import type { Asked, LoginNews, LoginSettings } from '../login/login-news.js';
import type { DemoInstance } from './demo-instance.js';
import type { InstanceChange } from './instance-change.js';
import { useToken, watch } from './watching.js';

/** An instance inside this process, for the embedded store. */
export class LocalInstance implements DemoInstance {
  readonly where = 'this process';
  readonly name: string;
  readonly notifications: NotificationMode;
  readonly loginNews: LoginNews[] = [];
  readonly #store: ObservableCredentialStore<AccessToken>;
  readonly #logins: MemoryCredentialStore<Tokens>;
  #keeper: LoginKeeper | undefined;
  readonly #told: Inbox<InstanceChange>;

  static async start(
    name: string,
    store: ObservableCredentialStore<AccessToken>,
    logins: MemoryCredentialStore<Tokens>,
  ): Promise<LocalInstance> {
    const told = new Inbox<InstanceChange>();
    const notifications = await watch(store, (change) => told.push(change));
    return new LocalInstance(name, notifications, store, logins, told);
  }

  private constructor(
    name: string,
    notifications: NotificationMode,
    store: ObservableCredentialStore<AccessToken>,
    logins: MemoryCredentialStore<Tokens>,
    told: Inbox<InstanceChange>,
  ) {
    this.name = name;
    this.notifications = notifications;
    this.#store = store;
    this.#logins = logins;
    this.#told = told;
  }

  get told(): readonly InstanceChange[] {
    return this.#told.values;
  }

  next(timeoutMs: number): Promise<InstanceChange> {
    return this.#told.next(() => true, timeoutMs);
  }

  useToken(url: string): Promise<number | undefined> {
    return useToken(this.#store, url);
  }

  async keepLogin(settings: LoginSettings): Promise<void> {
    const tell = (news: LoginNews): void => void this.loginNews.push(news);
    this.#keeper = await LoginKeeper.start(this.#logins, settings, tell);
  }

  async setGate(open: boolean): Promise<void> {
    this.#keeper!.setGate(open);
  }

  useLogin(url: string): Promise<number> {
    return this.#keeper!.use(url);
  }

  async asked(): Promise<Asked> {
    return this.#keeper!.asked;
  }

  async stop(): Promise<void> {
    await this.#keeper?.stop();
    await Promise.all([this.#store.close(), this.#logins.close()]);
  }
}
