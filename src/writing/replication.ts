import type { ReplicaAck, ReplicasWanted, Written } from '../backend/backend.js';
import { InvalidOptionError, UnavailableError } from '../errors.js';
import { checkMs } from '../util/option-checks.js';

const DEFAULT_TIMEOUT_MS = 1_000;
const MAX_TIMEOUT_MS = 60_000;
/** Far more replicas than any Redis has; a larger number is a mistake. */
const MAX_REPLICAS = 1_000;

/** The options of a write that concern replicas. */
export interface ReplicationOptions {
  readonly replicas?: number | undefined;
  readonly replicaTimeoutMs?: number | undefined;
}

/** @throws InvalidOptionError */
export function checkReplication({
  replicas,
  replicaTimeoutMs,
}: ReplicationOptions): Omit<ReplicasWanted, 'signals'> | undefined {
  if (replicas === undefined) {
    // The option bounds nothing else; ignored, it would let its caller wait longer than intended.
    if (replicaTimeoutMs !== undefined)
      throw new InvalidOptionError(
        'replicaTimeoutMs',
        'bounds the wait for replicas: give replicas too',
      );
    return undefined;
  }
  if (!Number.isSafeInteger(replicas) || replicas < 1 || replicas > MAX_REPLICAS) {
    throw new InvalidOptionError(
      'replicas',
      `must be a whole number from 1 to ${String(MAX_REPLICAS)}`,
    );
  }
  const longest = checkMs(
    replicaTimeoutMs ?? DEFAULT_TIMEOUT_MS,
    'replicaTimeoutMs',
    1,
    MAX_TIMEOUT_MS,
  );
  return { replicas, timeoutMs: longest };
}

/** The writes of one store that still wait for replicas. */
export class Replications {
  readonly #underWay = new Set<Promise<ReplicaAck>>();

  /** Tracks a write whose replicas are awaited. */
  note(written: Written): Written {
    const { replicated } = written;
    if (replicated !== undefined) {
      this.#underWay.add(replicated);
      void replicated.then(() => this.#underWay.delete(replicated));
    }
    return written;
  }

  async idle(): Promise<void> {
    await Promise.all(this.#underWay);
  }
}

/** Never rejects, because the write has happened. */
export async function replicasOf({ replicated }: Written): Promise<ReplicaAck> {
  if (replicated !== undefined) return replicated;
  const replicasError = new UnavailableError(
    'the reply to the write was lost, and the number of its replicas with it',
  );
  return { replicas: 0, replicasError };
}
