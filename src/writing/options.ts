import type { ReplicasWanted } from '../backend/backend.js';
import type { ClearOptions, SaveOptions, UpdateOptions } from '../credential/contract.js';
import { InvalidOptionError } from '../errors.js';
import { checkTtlSeconds } from '../util/option-checks.js';
import { count, ms, option, reason, signal, type OptionsTable } from '../util/options.js';

/** No check here: the writer checks the snapshot, because the writer knows its own credential. */
const onlyIf = (range: string) =>
  option({
    default: undefined,
    check: () => undefined,
    range,
    cost: 'Compares and writes in one step, and rejects with a `ConflictError` when something else is stored. On Redis it needs scripts.',
  });

const replicaTimeoutMs = ms({
  default: 1_000,
  max: 60_000,
  cost: 'Bounds the wait for `replicas`. With a replica that hangs the call takes as long.',
});

/** The options that `save` and `update` have in common. */
const WRITE_OPTIONS = {
  ttlSeconds: option({
    default: undefined,
    shown: "the store's `ttlSeconds`",
    check: (value, name) => value === 'keep' || value === 'none' || checkTtlSeconds(value, name),
    range: 'a whole number from 1, `keep`, `none`',
    cost: '`keep` keeps the time that is left, `none` takes the TTL away, as `SET` does.',
  }),
  reason: reason('Carried to other processes in their `saved` change. Not secret.'),
  replicas: count({
    default: undefined,
    max: 1_000,
    cost: 'One round trip more, and the time that the replicas take. The first such call opens a third connection.',
  }),
  replicaTimeoutMs,
  signal: signal('Stops the wait. A write that has been sent may still happen.'),
};

type WriteOptionsOpen = 'ttlSeconds' | 'reason' | 'replicas' | 'signal';

/** The options of `save()`. */
export const SAVE_OPTIONS: OptionsTable<SaveOptions, WriteOptionsOpen | 'onlyIf'> = {
  ...WRITE_OPTIONS,
  onlyIf: onlyIf('a snapshot, `absent`'),
};

/** The options of `update()`. */
export const UPDATE_OPTIONS: OptionsTable<UpdateOptions, WriteOptionsOpen> = {
  ...WRITE_OPTIONS,
  maxAttempts: count({
    default: 10,
    max: Infinity,
    cost: 'A larger number bears more writers at once; each attempt is a read and a write.',
  }),
};

/** The options of `clear()`. */
export const CLEAR_OPTIONS: OptionsTable<ClearOptions, keyof ClearOptions> = {
  reason: reason('Carried to other processes in their `cleared` change. Not secret.'),
  onlyIf: onlyIf('a snapshot'),
  signal: signal('Stops the wait. A removal that has been sent may still happen.'),
};

/** The wish for replicas, from options whose values were checked. @throws InvalidOptionError */
export function replicationOf({
  replicas,
  replicaTimeoutMs: timeoutMs,
}: Pick<SaveOptions, 'replicas' | 'replicaTimeoutMs'>):
  Omit<ReplicasWanted, 'signals'> | undefined {
  if (replicas !== undefined) return { replicas, timeoutMs: timeoutMs ?? replicaTimeoutMs.default };
  // Without `replicas` this option would bound nothing, and the call could take longer than its caller expects.
  if (timeoutMs !== undefined)
    throw new InvalidOptionError(
      'replicaTimeoutMs',
      'bounds the wait for replicas: give replicas too',
    );
  return undefined;
}
