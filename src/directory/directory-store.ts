import { BackedCredentialStore } from '../backed-credential-store.js';
import type { CredentialRegistry } from './credential-registry.js';
import { CredentialView } from './credential-view.js';

/** A light store of one credential of a directory. */
export class DirectoryStore<T> extends BackedCredentialStore<T> {
  constructor(id: string, registry: CredentialRegistry<T>) {
    const view = new CredentialView(id, registry);
    super(view, view);
  }
}
