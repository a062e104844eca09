import type { Backend } from '../../backend/backend.js';
import type { ContractHarness, ContractInstance } from '../contract/harness.js';

/** The parts of a place that `backendContract` uses. Everything that a harness creates refers to one shared place. */
export interface BackendHarness extends Pick<ContractHarness, 'outside' | 'now' | 'advance'> {
  /** Creates a backend on the shared place. The case closes it. */
  createBackend(instance: ContractInstance): Backend;
  /** The network between the place and its backends. */
  readonly network: {
    /** Breaks every link, and lets no new one come about. */
    cut(): Promise<void>;
    mend(): Promise<void>;
  };
  /** Stores at a key something that is no string of bytes. Only a place that has several types of values needs it. */
  storeOtherType?(key: string): Promise<void>;
}

/** One case of the contract: a promise, and its check. */
export interface BackendContractCase {
  readonly name: string;
  /** Rejects with an `AssertionError` when the promise is not kept. */
  readonly run: (harness: BackendHarness) => Promise<void>;
}

export interface BackendContractOptions {
  /** How long a case waits, in real time, for an expected event. */
  readonly timeoutMs?: number;
  /** Whether the place keeps other types of values than bytes; the harness then has `storeOtherType`. */
  readonly otherTypes?: boolean;
}
