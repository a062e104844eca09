/** An option that was renamed: its name of today, and the rest of the advice. */
interface Renamed {
  readonly now: string;
  readonly more?: string;
}

const RENAMED: ReadonlyMap<string, Renamed> = new Map([
  [
    'authenticate',
    { now: 'refresh', more: ', and login if the program may get the first credentials by itself' },
  ],
  ['clearAll', { now: 'all' }],
  ['in', { now: 'memory' }],
  ['onError', { now: 'onCallbackError' }],
  ['timeoutMs', { now: 'replicaTimeoutMs' }],
]);

/** The advice for an option that was renamed to one of `names`; `undefined` for any other. */
export function adviceFor(given: string, names: readonly string[]): string | undefined {
  const renamed = RENAMED.get(given);
  if (renamed === undefined || !names.includes(renamed.now)) return undefined;
  return `${renamed.now}${renamed.more ?? ''}`;
}

/** The name that was probably meant by an unknown one; `undefined` where none is near. */
export function nearMiss(given: string, names: readonly string[]): string | undefined {
  const wanted = given.toLowerCase();
  let best: string | undefined;
  let least = Infinity;
  for (const name of names) {
    const known = name.toLowerCase();
    // A shortened name, such as `ttl` for `ttlSeconds`, is nearer than a mistyped one.
    const isPart = wanted.length >= 3 && (known.startsWith(wanted) || wanted.startsWith(known));
    const far = isPart ? Math.abs(known.length - wanted.length) / 100 : distance(wanted, known);
    if (far < least && far <= Math.min(2, wanted.length / 3)) [best, least] = [name, far];
  }
  return best;
}

/** The number of letters to insert, remove or replace. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [at, letter] of Array.from(one).entries()) {
    const next = [at + 1];
    for (let to = 1; to <= other.length; to += 1) {
      const replaced = (row[to - 1] ?? 0) + (letter === other[to - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[to] ?? 0) + 1, (next[to - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
