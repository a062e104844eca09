import type { CredentialChange } from '../../../src/index.js';
import { say } from './faults.js';

/** What one instance said about one key. */
export interface History {
  readonly instance: string;
  readonly key: string;
  readonly changes: readonly CredentialChange<string>[];
}

/**
 * What is wrong with histories of keys at which no value was ever written twice. Each must be an in-order subsequence of
 * what Redis held: nothing invented, nothing twice, nothing before its time, and no two instances in another order.
 */
export function problemsIn(
  histories: readonly History[],
  written: ReadonlyMap<string, readonly string[]>,
): string[] {
  const problems: string[] = [];
  for (const history of histories) {
    const { instance, key, changes } = history;
    const report = (what: string, at: number): void => {
      const around = changes.slice(Math.max(0, at - 3), at + 2).map(say);
      problems.push(`${instance} ${key}: ${what} at ${at} in ${around.join(', ')}`);
    };
    checkOne(changes, new Set(written.get(key)), report);
    for (const other of histories) {
      if (other.key !== key || other.instance <= instance) continue;
      const swapped = orderProblem(values(history), values(other));
      if (swapped !== undefined)
        problems.push(`${instance} and ${other.instance} ${key}: ${swapped}`);
    }
  }
  return problems;
}

function checkOne(
  changes: readonly CredentialChange<string>[],
  written: ReadonlySet<string>,
  report: (what: string, at: number) => void,
): void {
  const seen = new Set<string>();
  let present: string | undefined;
  let last: string | undefined;
  for (const [at, change] of changes.entries()) {
    switch (change.type) {
      case 'saved':
        if (!written.has(change.credentials)) report('a value that nobody wrote', at);
        if (seen.has(change.credentials)) report('a value for the second time', at);
        seen.add(change.credentials);
        present = last = change.credentials;
        break;
      case 'renewed':
        if (last !== undefined && change.credentials !== last) report('another value renewed', at);
        present = change.credentials;
        break;
      case 'expired':
        if (present === undefined && at > 0) report('the end of nothing', at);
        if (change.at <= (change.expiresAt ?? 0)) report('an early end', at);
        present = undefined;
        break;
      case 'cleared':
        if (present === undefined && at > 0 && changes[at - 1]?.type !== 'expired') {
          report('nothing cleared', at);
        }
        present = undefined;
        break;
      default:
        report(`a change of type ${change.type}`, at);
    }
  }
}

function values({ changes }: History): string[] {
  return changes.flatMap((change) => (change.type === 'saved' ? [change.credentials] : []));
}

/** Both are parts of one sequence only if what they have in common has one order. */
function orderProblem(one: readonly string[], other: readonly string[]): string | undefined {
  const places = new Map(other.map((value, at) => [value, at]));
  const common = one.filter((value) => places.has(value));
  const at = common.findIndex(
    (value, index) => places.get(value)! < places.get(common[index - 1]!)!,
  );
  return at < 1 ? undefined : `${common[at - 1]!} and ${common[at]!} in another order`;
}

/** Values that count up, and were written one after the other by one writer, must be seen counting up. */
export function backwardsIn({ instance, key, changes }: History): string[] {
  const numbers = changes.flatMap((change) =>
    change.type === 'saved' ? [Number(change.credentials.split('#')[1])] : [],
  );
  return numbers.flatMap((number, at) =>
    at > 0 && number <= numbers[at - 1]!
      ? [`${instance} ${key}: ${numbers[at - 1]!}, then ${number}`]
      : [],
  );
}
