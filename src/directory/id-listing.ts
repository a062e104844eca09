/** The ids behind keys that come in pages, each id once. */
export async function* listIds(
  keys: () => AsyncIterable<readonly string[]>,
  idAt: (key: string) => string | undefined,
): AsyncIterableIterator<string> {
  // A scan may give a key again, for example when the server's table grows meanwhile.
  const given = new Set<string>();
  for await (const page of keys()) {
    for (const key of page) {
      const id = idAt(key);
      if (id === undefined || given.has(id)) continue;
      given.add(id);
      yield id;
    }
  }
}
