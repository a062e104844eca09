import { ms, resolveOptions, type OptionsTable } from '../util/options.js';
import { changeCases } from './contract/change-cases.js';
import { closingCases } from './contract/closing-cases.js';
import { conditionalCases } from './contract/conditional-cases.js';
import { expiryCases } from './contract/expiry-cases.js';
import type { ContractCase, ContractHarness, ContractOptions } from './contract/harness.js';
import { listeningCases } from './contract/listening-cases.js';
import { refusingCases } from './contract/refusing-cases.js';
import { snapshotCases } from './contract/snapshot-cases.js';
import { storingCases } from './contract/storing-cases.js';
import { watchingCases } from './contract/watching-cases.js';

/** The options of the contract. */
export const CONTRACT_OPTIONS: OptionsTable<ContractOptions> = {
  timeoutMs: ms({
    default: 5_000,
    cost: 'A longer time lets a case wait longer, in real time, before it fails.',
  }),
};

/**
 * The promises of every `ObservableCredentialStore`, as cases for any test runner. They hold on each backend: run them on the Redis of your
 * application, with its settings and rights.
 *
 * @remarks The cases use `node:assert` and no runner. They may run in any order and side by side.
 *
 * @example
 * ```ts
 * import { it } from 'node:test';
 * import { CredentialMemory, MemoryCredentialStore } from 'credstream';
 * import { credentialStoreContract, VirtualClock, type ContractHarness } from 'credstream/testing';
 *
 * const clock = new VirtualClock();
 * const memory = new CredentialMemory({ clock });
 * const ends = new Map<string, number>();
 *
 * const harness: ContractHarness = {
 *   createStore: (_instance, options) => new MemoryCredentialStore({ ...options, memory }),
 *   now: () => clock.now(),
 *   advance: (ms) => clock.advance(ms),
 *   outside: {
 *     get: async (key) => memory.get(key),
 *     set: async (key, value, ttlMs) => memory.set(key, value, ttlMs === undefined ? {} : { ttlMs }),
 *     ttlMs: async (key) => memory.ttlMs(key),
 *     expire: async (key, ttlMs) => void memory.expire(key, ttlMs),
 *     delete: async (key) => void memory.delete(key),
 *   },
 * };
 *
 * for (const { name, run } of credentialStoreContract()) void it(name, () => run(harness));
 * ```
 * @throws InvalidOptionError
 * @public
 */
export function credentialStoreContract(options: ContractOptions = {}): readonly ContractCase[] {
  const { timeoutMs } = resolveOptions(CONTRACT_OPTIONS, options);
  const scenes = [
    ...storingCases,
    ...conditionalCases,
    ...changeCases,
    ...watchingCases,
    ...expiryCases,
    ...snapshotCases,
    ...listeningCases,
    ...closingCases,
    ...refusingCases,
  ];
  return scenes.map((scene) => scene(timeoutMs));
}

/**
 * Registers every case of the contract with a test runner, each on a harness of its own.
 *
 * @example
 * ```ts
 * import { describe, it } from 'node:test';
 * import { registerCredentialStoreContract, type ContractHarness } from 'credstream/testing';
 *
 * declare function createHarness(): ContractHarness;
 *
 * void describe('our stores', () => {
 *   registerCredentialStoreContract(it, createHarness);
 * });
 * ```
 * @param it - registers one test: `it` of vitest, jest, mocha, `node:test` …
 * @param createHarness - called at the start of each case
 * @throws InvalidOptionError
 * @public
 */
export function registerCredentialStoreContract(
  it: (name: string, run: () => Promise<void>) => unknown,
  createHarness: () => ContractHarness | Promise<ContractHarness>,
  options: ContractOptions = {},
): void {
  for (const { name, run } of credentialStoreContract(options)) {
    it(name, async () => run(await createHarness()));
  }
}
