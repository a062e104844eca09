import { closeCases } from './backend/close-cases.js';
import { conditionCases } from './backend/condition-cases.js';
import type { BackendContractCase, BackendContractOptions } from './backend/harness.js';
import { hintCases } from './backend/hint-cases.js';
import { listCases } from './backend/list-cases.js';
import { otherTypeCases, readCases } from './backend/read-cases.js';
import { clearCases } from './backend/clear-cases.js';
import { swapCases } from './backend/swap-cases.js';
import { removeCases, writeCases } from './backend/write-cases.js';

/**
 * The promises of the seam, as cases for any test runner: every `Backend` of this package keeps them, and stores and directories rely on
 * nothing else.
 *
 * @remarks Internal: `Backend` is no public name, therefore `credstream/testing` does not export this contract. A store on a backend also
 *   passes `credentialStoreContract`. The cases use `node:assert` and no runner, and each one needs a harness of its own, because some
 *   break its network.
 */
export function backendContract(
  options: BackendContractOptions = {},
): readonly BackendContractCase[] {
  const { timeoutMs = 10_000, otherTypes = false } = options;
  const scenes = [
    ...hintCases,
    ...conditionCases,
    ...readCases,
    ...(otherTypes ? otherTypeCases : []),
    ...listCases,
    ...writeCases,
    ...removeCases,
    ...swapCases,
    ...clearCases,
    ...closeCases,
  ];
  return scenes.map((scene) => scene(timeoutMs));
}
