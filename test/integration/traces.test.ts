import { createRequire } from 'node:module';

import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { Reauthenticator } from 'credstream';

import { both } from '../support/both.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { eventually } from '../support/wait.js';
import { useWorld } from './world.js';

const world = useWorld();
const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
// Spans without a parent show the background work.
const instrumentation = new IORedisInstrumentation({ requireParentSpan: false });

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  instrumentation.setTracerProvider(provider);
  // The instrumentation changes the prototype of the class, when the package is required.
  createRequire(import.meta.url)('ioredis');
});
afterAll(async () => {
  instrumentation.disable();
  context.disable();
  await provider.shutdown();
});

/** The commands in the trace of `request`, and those outside of any. */
async function commandsDuring(request: () => Promise<unknown>) {
  const span = provider.getTracer('test').startSpan('request');
  await context.with(trace.setSpan(context.active(), span), request);
  span.end();
  const { traceId } = span.spanContext();
  return {
    inTrace: () =>
      exporter
        .getFinishedSpans()
        .filter((one) => one.spanContext().traceId === traceId && one.name !== 'request')
        .map(({ name }) => name.toLowerCase()),
    outside: () =>
      exporter
        .getFinishedSpans()
        .filter((one) => one.spanContext().traceId !== traceId)
        .map(({ name }) => name.toLowerCase()),
  };
}

it('the trace of a request has its own save, and none of the work that it happened to begin', async () => {
  const store = world.store(world.connect(), { heartbeatMs: 20, probeMs: 20, replyTimeoutMs: 500 });
  const { inTrace, outside } = await commandsDuring(async () => {
    // The first call opens the connections, subscribes, and starts all timers.
    await store.ready();
    await store.save({ token: 'one' });
    await store.save({ token: 'two' });
  });
  // Each save ends an earlier clear with a SET of its own.
  expect(inTrace().filter((name) => name === 'set')).toHaveLength(4);
  exporter.reset();
  await eventually(() => outside().length > 20);
  expect(inTrace()).toEqual([]);
  expect(outside()).toContain((await abilitiesOf(world.connect())).readCommand);
});

it('the first save of a store has its own commands in the trace, and not the opening', async () => {
  exporter.reset();
  const store = world.store(world.connect());
  const { inTrace, outside } = await commandsDuring(() => store.save({ token: 'one' }));
  const { readCommand, readTextCommand } = await abilitiesOf(world.connect());
  // The connection tries EVALSHA_RO in any case, and another way once that is refused.
  const read = [...new Set(['evalsha_ro', readCommand])];
  // The check of the type reads the key; on a fresh server the script is sent in full.
  expect(inTrace().filter((name) => name !== readTextCommand)).toEqual([
    ...read,
    ...['multi', 'set', 'set', 'publish', 'exec'],
  ]);
  expect(outside()).toContain('connect');
});

it('a re-authentication is in no trace of those who wait for it', async () => {
  exporter.reset();
  const redis = world.connect();
  const store = world.store(redis, { ttlSeconds: 2, allowEarlyRemoval: true });
  let spanInside: unknown;
  let calls = 0;
  const auth = world.track(
    new Reauthenticator(store, {
      ...both(() => {
        spanInside = trace.getSpan(context.active());
        calls += 1;
        return { token: `token ${String(calls)}` };
      }),
    }),
    (one) => one.close(),
  );
  const { inTrace, outside } = await commandsDuring(() => auth.credentials());
  await eventually(() => calls > 1);
  expect(inTrace()).toEqual([]);
  expect(outside()).toContain('subscribe');
  expect(spanInside).toBeUndefined();
});
