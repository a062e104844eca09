import type { Backend, Hint } from '../../backend/backend.js';
import type { Encoding } from '../../credential/encoding.js';
import type { CredentialSnapshot } from '../../credential/snapshot.js';
import type { Withdrawal } from '../../credential/withdrawal.js';
import { unknown, type CredentialState, type Known } from '../../credential/state.js';
import type { Deadline } from '../../time/deadlines.js';
import type { SharedStoreOptions } from '../../watching/entry-options.js';
import type { WatchedEntry } from '../../watching/watched.js';
import { CredentialUse } from './credential-use.js';

/** The entry of a credential as one store of a directory sees it. A closed store sees nothing. */
export class CredentialView<T> extends CredentialUse<T> implements WatchedEntry<T> {
  get key(): string {
    return this.registry.watch.prefix + this.id;
  }

  get backend(): Backend {
    return this.registry.watch.scope.backend;
  }

  get encoding(): Encoding<T> {
    return this.registry.watch.scope.encoding;
  }

  get options(): SharedStoreOptions<T> {
    return this.registry.watch.scope.options;
  }

  get state(): CredentialState<T> {
    return this.closed ? unknown.state : (this.shared?.state ?? unknown.state);
  }

  get known(): Known<T> {
    return this.closed ? unknown : (this.shared?.known ?? unknown);
  }

  get current(): CredentialSnapshot<T> | undefined {
    return this.closed ? undefined : this.shared?.current;
  }

  get ownWrites(): number {
    return this.shared?.ownWrites ?? 0;
  }

  set ownWrites(count: number) {
    const { shared } = this;
    if (shared !== undefined) shared.ownWrites = count;
  }

  refreshed(own?: Hint): Promise<void> {
    return this.shared?.refreshed(own) ?? Promise.resolve();
  }

  at(instant: number, due: () => void): Deadline | undefined {
    return this.shared?.at(instant, due);
  }

  serverNow(): number {
    return this.shared?.serverNow() ?? this.backend.clock.now();
  }

  holds(snapshot: CredentialSnapshot<T>): boolean {
    return !this.closed && this.shared?.holds(snapshot) === true;
  }

  withdrawalOf(name: string): Withdrawal | undefined {
    return this.shared?.withdrawalOf(name);
  }
}
