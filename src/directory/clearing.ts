import { callSafely } from '../callbacks.js';
import {
  checkCount,
  checkFunction,
  checkNames,
  checkReason,
  checkSignal,
} from '../option-checks.js';
import { Slots } from '../slots.js';
import type { CallbackErrorHandler } from '../store-options.js';
import type { ClearAllFailure, ClearAllOptions, ClearAllReceipt } from './credential-directory.js';

const MOST_FAILURES = 1_000;

/** Removes many credentials, a bounded number at a time; whatever becomes of one, the others are tried. */
export async function clearEach(
  ids: AsyncIterable<string>,
  clear: (id: string, reason: string | undefined) => Promise<boolean>,
  options: ClearAllOptions,
  onCallbackError: CallbackErrorHandler,
): Promise<ClearAllReceipt> {
  checkNames(options, ['reason', 'concurrency', 'onProgress', 'signal']);
  const reason = checkReason(options.reason);
  const signal = checkSignal(options.signal);
  checkFunction(options.onProgress, 'onProgress');
  const { concurrency = 64, onProgress } = options;
  const slots = new Slots(checkCount(concurrency, 'concurrency', 1_000));
  const failures: ClearAllFailure[] = [];
  const underWay = new Set<Promise<void>>();
  let cleared = 0;
  let failed = 0;
  const clearOne = async (id: string): Promise<void> => {
    try {
      if (await clear(id, reason)) cleared += 1;
    } catch (error) {
      failed += 1;
      if (failures.length < MOST_FAILURES) failures.push({ id, error });
    }
    slots.give();
    if (onProgress !== undefined)
      callSafely(onProgress, [{ id, cleared, failed }], (error) => {
        onCallbackError(error, 'onProgress');
      });
  };
  try {
    signal?.throwIfAborted();
    for await (const id of ids) {
      await slots.take();
      if (signal?.aborted) slots.give();
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
