import { isPassing, replyWord } from '../redis-errors.js';
import type { CommandConnection } from '../redis-link.js';

/** Which slots a node says that it has. */
export interface OwnSlots {
  /** The same as long as nothing has changed. */
  readonly text: string;
  /** Whether some are on their way to or from it, or may be for all that is known. */
  readonly moving: boolean;
}

/** Slots that are on their way are told by those two nodes alone. @throws LinkLostError, or an error reply of Redis */
export async function askForOwnSlots(link: CommandConnection): Promise<OwnSlots> {
  let nodes: string;
  try {
    nodes = String(await link.call((client) => client.call('CLUSTER', 'NODES')));
  } catch (error) {
    const word = replyWord(error);
    if (word === undefined || isPassing(word)) throw error;
    return { text: '?', moving: true };
  }
  const [, , , , , , , , ...slots] = /^.*\bmyself\b.*$/m.exec(nodes)?.[0].split(' ') ?? [];
  return { text: slots.join(' '), moving: slots.some((slot) => slot.startsWith('[')) };
}
