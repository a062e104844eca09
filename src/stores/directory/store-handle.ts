import { ObservableCredentialStore } from '../observable-credential-store.js';
import type { CredentialRegistry } from './credential-registry.js';
import { CredentialView } from './credential-view.js';

/** A light store of one credential of a directory. */
export class StoreHandle<T> extends ObservableCredentialStore<T> {
  constructor(id: string, registry: CredentialRegistry<T>) {
    super(new CredentialView(id, registry), registry);
  }
}
