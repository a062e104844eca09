import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Redis } from 'ioredis';
import { replyWord } from '../reply-errors.js';

type BuildContext = (what: unknown) => object;

const BUILDERS = ['_buildCommandContext', '_buildBatchContext'] as const;

type TracedClient = Partial<Record<(typeof BUILDERS)[number], BuildContext>>;

const CHANNELS = ['command', 'batch'].flatMap((kind) =>
  ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map((event) =>
    channel(`tracing:ioredis:${kind}:${event}`),
  ),
);
const COMMAND_START = 'tracing:ioredis:command:start';

/** Makes the warning that traces show replies: it is given once, however many connections share it. */
export function createTraceWarning(): () => void {
  let isGiven = false;
  return () => {
    if (isGiven) return;
    isGiven = true;
    process.emitWarning(
      'the tracing channels of ioredis have a subscriber, and this version of ioredis lacks what credstream hides replies with: traces may show credentials',
      'CredstreamWarning',
    );
  };
}

/**
 * Keeps credentials out of the tracing channels of ioredis. ioredis hides the arguments of SET, but publishes every reply, and with an
 * error the whole failed command. Names, keys and the fact of a failure are traced as usual. A client that lacks the methods either traces
 * nothing, as before ioredis 5.11, or cannot be kept from it: the warning is given when somebody listens at the moment.
 */
export function hideFromTraces(client: Redis, warn: () => void): Redis {
  const inner = client as unknown as TracedClient;
  const known = BUILDERS.filter((name) => inner[name] !== undefined);
  for (const name of known) {
    const build = inner[name]?.bind(client);
    if (build !== undefined)
      inner[name] = (what) => Object.defineProperties(build(what), withoutOutcome());
  }
  if (known.length < BUILDERS.length && CHANNELS.some(({ hasSubscribers }) => hasSubscribers)) {
    if (known.length > 0) warn();
    else warnOnceTraced(client, warn);
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

/**
 * Gives the warning when a command of the client is traced. Only a command shows that: the subscriber may listen to another ioredis, newer than
 * that of the client. Ends with the first command on the open connection.
 */
function warnOnceTraced(client: Redis, warn: () => void): void {
  const send = client.sendCommand.bind(client);
  client.sendCommand = (...args) => {
    // ioredis publishes a command while it sends it.
    subscribe(COMMAND_START, warn);
    try {
      return send(...args);
    } finally {
      unsubscribe(COMMAND_START, warn);
      if (client.status === 'ready') client.sendCommand = send;
    }
  };
}
