/**
 * Runs `close`, and settles when that has, however it ends.
 *
 * @param keep - takes the promise before `close` runs, because whoever is told of the closing may close again
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
