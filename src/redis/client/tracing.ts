import type { Redis } from 'ioredis';
import { replyWord } from '../reply-errors.js';

type BuildContext = (what: unknown) => object;

const BUILDERS = ['_buildCommandContext', '_buildBatchContext'] as const;

/**
 * Keeps credentials out of the tracing channels of ioredis. ioredis hides the arguments of SET, but publishes every reply, and with an
 * error the whole failed command. Names, keys and the fact of a failure are traced as usual.
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

/** Node.js sets these two properties on the context of a traced call. */
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
