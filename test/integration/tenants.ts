import { AsyncLocalStorage } from 'node:async_hooks';

const tenants = new AsyncLocalStorage<string>();

/** Runs `work` in a request of a tenant. */
export function as<R>(name: string, work: () => R): R {
  return tenants.run(name, work);
}

/** The tenant in whose request this code runs; `undefined` in nobody's. */
export function tenant(): string | undefined {
  return tenants.getStore();
}
