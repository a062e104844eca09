export {
  credentialMatchers,
  type CredentialMatcherContext,
  type CredentialMatcherResult,
  type CredentialMatchers,
  type ExpectedChange,
} from './credential-matchers.js';
export {
  credentialStoreContract,
  registerCredentialStoreContract,
} from './credential-store-contract.js';
export type {
  ContractCase,
  ContractHarness,
  ContractInstance,
  ContractOptions,
  OutsideClient,
} from './contract/harness.js';
export { VirtualClock, type VirtualClockOptions } from './virtual-clock.js';
