import type { ClusterServer } from './cluster-server.js';

const MIGRATE_DEADLINE_MS = 30_000;
/** MIGRATE takes several keys at once, and blocks both sides for so long. */
const KEYS_AT_ONCE = 100;
const SLOTS_AT_ONCE = 500;

/** Slots that change hands while the cluster serves, step by step, so that a test can stand between two of them. */
export class SlotMove {
  readonly slots: readonly number[];
  readonly from: ClusterServer;
  readonly to: ClusterServer;

  constructor(slots: readonly number[], from: ClusterServer, to: ClusterServer) {
    this.slots = slots;
    this.from = from;
    this.to = to;
  }

  /** From now on the old owner answers ASK for keys that it does not hold. */
  async open(): Promise<void> {
    await this.#setAll(this.to, 'IMPORTING', this.from.id);
    await this.#setAll(this.from, 'MIGRATING', this.to.id);
  }

  /** Moves these keys, or all that the slots hold. */
  async moveKeys(keys?: readonly string[]): Promise<void> {
    if (keys !== undefined) return this.#migrate(keys);
    for (const slot of await this.#filled()) {
      for (;;) {
        const some = await this.from.admin.cluster('GETKEYSINSLOT', slot, KEYS_AT_ONCE);
        if (some.length === 0) break;
        await this.#migrate(some.map(String));
      }
    }
  }

  /** Gives the slots to their new owner. Fails while the old one still holds keys. */
  async close(): Promise<void> {
    // The new owner first, so that there is no moment without any.
    await this.#setAll(this.to, 'NODE', this.to.id);
    await this.#setAll(this.from, 'NODE', this.to.id);
  }

  /** Leaves the slots where they were. Keys that were moved have to be brought back before. */
  async abort(): Promise<void> {
    for (const server of [this.from, this.to]) await this.#setAll(server, 'STABLE');
  }

  /** A server writes its slots to disk after every round of commands: thousands one by one would take a minute. */
  async #setAll({ admin }: ClusterServer, ...state: string[]): Promise<void> {
    const replies = await inBatches(this.slots, (slots) => {
      const pipeline = admin.pipeline();
      for (const slot of slots) pipeline.call('CLUSTER', 'SETSLOT', slot, ...state);
      return pipeline.exec();
    });
    for (const [error] of replies) {
      // Who hears of the loss of its last slot before it is told by us, has become a replica of the new owner.
      if (error !== null && !error.message.includes('only with masters')) throw error;
    }
  }

  async #filled(): Promise<number[]> {
    const counts = await inBatches(this.slots, (slots) => {
      const pipeline = this.from.admin.pipeline();
      for (const slot of slots) pipeline.call('CLUSTER', 'COUNTKEYSINSLOT', slot);
      return pipeline.exec();
    });
    return this.slots.filter((_, index) => Number(counts[index]?.[1]) > 0);
  }

  async #migrate(keys: readonly string[]): Promise<void> {
    const { host, port, admin } = this.to;
    const { password } = admin.options;
    await this.from.admin.call(
      'MIGRATE',
      ...[host, port, '', 0, MIGRATE_DEADLINE_MS, 'REPLACE'],
      ...(typeof password === 'string' ? ['AUTH', password] : []),
      ...['KEYS', ...keys],
    );
  }
}

type Replies = readonly (readonly [error: Error | null, value: unknown])[];

async function inBatches(
  slots: readonly number[],
  run: (slots: readonly number[]) => Promise<Replies | null>,
): Promise<Replies> {
  const all: (readonly [Error | null, unknown])[] = [];
  for (let at = 0; at < slots.length; at += SLOTS_AT_ONCE) {
    all.push(...((await run(slots.slice(at, at + SLOTS_AT_ONCE))) ?? []));
  }
  return all;
}
