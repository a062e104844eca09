/**
 * Removes the listeners of combined signals that nobody holds any longer. `AbortSignal.any` of Node.js 20 and 22 keeps some memory for each
 * call as long as one of its signals lives, and the signal of a credential lives for months.
 */
const forgotten = new FinalizationRegistry<() => void>((detach) => {
  detach();
});

/** A signal that aborts with the first of several, and costs nothing once nobody holds it. */
export function combineSignals(...signals: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  const { signal } = controller;
  for (const one of signals) {
    if (!one.aborted) continue;
    controller.abort(one.reason);
    return signal;
  }
  const weak = new WeakRef(controller);
  const listeners = signals.map((one) => {
    const abort = (): void => {
      weak.deref()?.abort(one.reason);
      detach();
    };
    one.addEventListener('abort', abort, { once: true });
    return () => {
      one.removeEventListener('abort', abort);
    };
  });
  const detach = (): void => {
    for (const remove of listeners) remove();
  };
  // The signal is all that callers hold, and it must not outlive its controller.
  signal.addEventListener('abort', () => controller, { once: true });
  forgotten.register(signal, detach);
  return signal;
}
