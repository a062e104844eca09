import { InvalidOptionError } from '../errors.js';
import { option, resolvePart, type OptionsTable } from '../util/options.js';
import { CredentialMemory } from './credential-memory.js';

/** The option of stores and directories in memory, beside the common options. */
interface InMemory {
  readonly memory?: CredentialMemory | undefined;
}

/** The table of that option, beside the table of a store or a directory. */
export const IN_MEMORY_OPTIONS: OptionsTable<InMemory, 'memory'> = {
  memory: option({
    default: undefined,
    shown: 'a new memory',
    check: (value, name) => {
      if (!(value instanceof CredentialMemory))
        throw new InvalidOptionError(name, 'must be a CredentialMemory');
    },
    range: 'a `CredentialMemory`',
    cost: 'Stores and directories on the same `CredentialMemory` see each other.',
  }),
};

/** Names are checked together with those of the store. @throws InvalidOptionError */
export function resolveMemory(options: InMemory): CredentialMemory {
  return resolvePart(IN_MEMORY_OPTIONS, options).memory ?? new CredentialMemory();
}
