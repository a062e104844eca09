/**
 * Runs `close`, and resolves when `close` has settled either way.
 *
 * @param keep - takes the promise before `close` runs, because a listener that hears of the closing may close again
 */
export function closeOnce(
  close: () => Promise<unknown>,
  keep: (closing: Promise<void>) => void,
): Promise<void> {
  let done: () => void = () => undefined;
  const closing = new Promise<void>((resolve) => {
    done = resolve;
  });
  keep(closing);
  void close().then(done, done);
  return closing;
}
