import { channel } from 'node:diagnostics_channel';
import type { Redis } from 'ioredis';
import { replyWord } from '../reply-errors.js';

type BuildContext = (what: unknown) => object;

const BUILDERS = ['_buildCommandContext', '_buildBatchContext'] as const;

const CHANNELS = ['command', 'batch'].flatMap((kind) =>
  ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map((event) =>
    channel(`tracing:ioredis:${kind}:${event}`),
  ),
);

let hasWarned = false;

/**
 * Keeps credentials out of the tracing channels of ioredis. ioredis hides the arguments of SET, but publishes every reply, and with an
 * error the whole failed command. Names, keys and the fact of a failure are traced as usual. A client that lacks the methods either traces
 * nothing, as before ioredis 5.11, or cannot be kept from it: when somebody listens, a process warning says so, once.
 */
export function hideFromTraces(client: Redis): Redis {
  const inner = client as unknown as Partial<Record<(typeof BUILDERS)[number], BuildContext>>;
  for (const name of BUILDERS) {
    const build = inner[name]?.bind(client);
    if (build === undefined) {
      warnOnce();
      continue;
    }
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

function warnOnce(): void {
  if (hasWarned || !CHANNELS.some(({ hasSubscribers }) => hasSubscribers)) return;
  hasWarned = true;
  process.emitWarning(
    'the tracing channels of ioredis have a subscriber, and this version of ioredis lacks what credstream hides replies with: if it publishes them, traces show credentials',
    'CredstreamWarning',
  );
}
