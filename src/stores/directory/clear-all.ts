import { callSafely } from '../../util/callbacks.js';
import { resolveOptions } from '../../util/options.js';
import { Semaphore } from '../../util/semaphore.js';
import type { CallbackErrorHandler } from '../../util/callbacks.js';
import type { ClearAllFailure, ClearAllOptions, ClearAllReceipt } from './contract.js';
import { CLEAR_ALL_OPTIONS } from './options.js';

const MAX_FAILURES = 1_000;

/** Clears many credentials, a bounded number at a time. A failure of one does not stop the others. */
export async function clearEach(
  ids: AsyncIterable<string>,
  clear: (id: string, reason: string | undefined) => Promise<boolean>,
  options: ClearAllOptions,
  onCallbackError: CallbackErrorHandler,
): Promise<ClearAllReceipt> {
  const { reason, concurrency, onProgress, signal } = resolveOptions(CLEAR_ALL_OPTIONS, options);
  const semaphore = new Semaphore(concurrency);
  const failures: ClearAllFailure[] = [];
  const underWay = new Set<Promise<void>>();
  let cleared = 0;
  let failed = 0;
  const clearOne = async (id: string): Promise<void> => {
    try {
      if (await clear(id, reason)) cleared += 1;
    } catch (error) {
      failed += 1;
      if (failures.length < MAX_FAILURES) failures.push({ id, error });
    }
    semaphore.release();
    if (onProgress !== undefined)
      callSafely(onProgress, [{ id, cleared, failed }], (error) => {
        onCallbackError(error, 'onProgress');
      });
  };
  try {
    signal?.throwIfAborted();
    for await (const id of ids) {
      await semaphore.acquire();
      if (signal?.aborted) semaphore.release();
      signal?.throwIfAborted();
      const one = clearOne(id);
      underWay.add(one);
      void one.then(() => underWay.delete(one));
    }
  } finally {
    await Promise.all(underWay);
  }
  return { cleared, failed, failures };
}

/** The ids of keys that come in pages, each id once. */
export async function* listIds(
  keys: () => AsyncIterable<readonly string[]>,
  idAt: (key: string) => string | undefined,
): AsyncIterableIterator<string> {
  // SCAN repeats keys, for example when the server's table grows meanwhile.
  const listed = new Set<string>();
  for await (const page of keys()) {
    for (const key of page) {
      const id = idAt(key);
      if (id === undefined || listed.has(id)) continue;
      listed.add(id);
      yield id;
    }
  }
}
