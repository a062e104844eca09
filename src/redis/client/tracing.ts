import type { Redis } from 'ioredis';
import { replyWord } from '../reply-errors.js';

type BuildContext = (what: unknown) => object;

const BUILDERS = ['_buildCommandContext', '_buildBatchContext'] as const;

/**
 * Keeps credentials out of the tracing channels of ioredis. It hides the arguments of SET by itself, but hands over every reply, and with
 * an error the whole command that failed. Names, keys and the fact of a failure are traced as always.
 */
export function hideFromTraces(client: Redis): Redis {
  const inner = client as unknown as Partial<Record<(typeof BUILDERS)[number], BuildContext>>;
  for (const name of BUILDERS) {
    const build = inner[name]?.bind(client);
    if (build === undefined) continue;
    inner[name] = (what) => Object.defineProperties(build(what), withoutOutcome());
  }
  return client;
}

/** Node sets these two on the context of whatever it traces. */
function withoutOutcome(): PropertyDescriptorMap {
  let failure: Error | undefined;
  return {
    result: { enumerable: true, get: () => undefined, set: () => undefined },
    error: {
      enumerable: true,
      get: () => failure,
      set: (error: unknown) => {
        failure = new Error(replyWord(error) ?? 'the link to Redis was lost');
      },
    },
  };
}
