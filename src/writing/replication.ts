import type { ReplicaAck, Written } from '../backend/backend.js';
import { UnavailableError } from '../errors.js';

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
