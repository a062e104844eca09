import type { ObservableCredentialStore } from 'credstream';

/** A value that is built from a credential, and built anew when that is another one. */
export interface Rebuilt<V> {
  /** Calls `fn` with the value that fits the credential of now, and keeps it until `fn` has settled. */
  use<R>(fn: (value: V) => Promise<R>): Promise<R>;
  close(): Promise<void>;
}

interface Held<V> {
  readonly value: V;
  uses: number;
  retired: boolean;
}

/** The least of it, to be read in a minute; it neither waits for a credential nor tries `create` again. */
export function rebuilt<T, V>(
  store: ObservableCredentialStore<T>,
  create: (credentials: T) => V,
  { dispose }: { readonly dispose: (value: V) => Promise<void> },
): Rebuilt<V> {
  let held: Held<V> | undefined;
  const disposals = new Set<Promise<void>>();
  const disposeUnused = ({ value, uses, retired }: Held<V>): void => {
    if (uses === 0 && retired) disposals.add(dispose(value));
  };
  const replace = (next: Held<V> | undefined): void => {
    const old = held;
    held = next;
    if (old === undefined) return;
    old.retired = true;
    disposeUnused(old);
  };
  const credentials = store.credentials$.subscribe((one) => {
    replace(one === undefined ? undefined : { value: create(one), uses: 0, retired: false });
  });
  return {
    use: async (fn) => {
      const mine = held;
      if (mine === undefined) throw new Error('there is no credential to build from');
      mine.uses += 1;
      try {
        return await fn(mine.value);
      } finally {
        mine.uses -= 1;
        disposeUnused(mine);
      }
    },
    close: async () => {
      credentials.unsubscribe();
      replace(undefined);
      await Promise.all(disposals);
    },
  };
}
