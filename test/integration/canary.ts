import { createHash, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';

/** A secret that is searched for wherever it must not be. */
export interface Canary {
  readonly text: string;
  /** Of everything that can be seen of `value` from outside, what shows the secret, shortened. */
  find(value: unknown): string[];
  /** Adds bytes whose digests are as secret as they are. */
  alsoDigestsOf(bytes: string | Uint8Array): void;
}

/** Makes one that exists nowhere else. */
export function makeCanary(): Canary {
  const text = `canary${randomBytes(12).toString('hex')}`;
  const needles = new Set<string>();
  const add = (secret: string): void => {
    for (const encoding of ['hex', 'base64'] as const) {
      needles.add(Buffer.from(secret).toString(encoding).replace(/=+$/, '').toLowerCase());
    }
    needles.add(secret.toLowerCase());
  };
  const alsoDigestsOf = (bytes: string | Uint8Array): void => {
    for (const algorithm of ['sha1', 'sha256', 'md5']) {
      const digest = createHash(algorithm).update(bytes).digest();
      needles.add(digest.toString('hex'));
      needles.add(digest.toString('base64').replace(/=+$/, '').toLowerCase());
    }
  };
  add(text);
  alsoDigestsOf(text);
  return {
    text,
    alsoDigestsOf,
    find: (value) =>
      faces(value).flatMap((face) => {
        const lower = face.toLowerCase();
        const needle = [...needles].find((one) => lower.includes(one));
        if (needle === undefined) return [];
        const at = lower.indexOf(needle);
        return [face.slice(Math.max(0, at - 200), at + needle.length + 40)];
      }),
  };
}

/** A value as inspection, serialization and whoever walks over its properties show it. */
function faces(value: unknown): string[] {
  const deep = { depth: Infinity, maxArrayLength: Infinity, maxStringLength: Infinity } as const;
  const shown = [
    inspect(value, deep),
    inspect(value, { ...deep, showHidden: true, customInspect: false }),
    attempt(() => JSON.stringify(value)),
    attempt(() => String(value)),
    attempt(() => inspect(structuredClone(value), deep)),
  ];
  if (typeof value === 'object' && value !== null) shown.push(inspect({ ...value }, deep));
  for (const one of reachable(value)) {
    // Inspection shows the first bytes only, and those in hexadecimal.
    if (one instanceof Uint8Array) shown.push(Buffer.from(one).toString('latin1'));
    if (one instanceof Error) shown.push(one.message, one.stack ?? '');
  }
  return shown;
}

/** Every object that `value` leads to by properties, whether they are enumerable or not; getters are not called. */
function reachable(value: unknown, found = new Set<object>()): Set<object> {
  if (typeof value !== 'object' || value === null || found.has(value)) return found;
  found.add(value);
  if (value instanceof Uint8Array) return found;
  if (value instanceof Map || value instanceof Set) for (const one of value) reachable(one, found);
  for (const { value: inner } of Object.values(Object.getOwnPropertyDescriptors(value))) {
    reachable(inner, found);
  }
  return found;
}

function attempt(make: () => string | undefined): string {
  try {
    return make() ?? '';
  } catch {
    // A cycle, or something that cannot be cloned: nothing leaks that way.
    return '';
  }
}
