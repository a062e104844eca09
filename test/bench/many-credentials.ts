import type { Bench, BenchContext, Finding } from './bench.js';
import { Workers } from './worker.js';
import type { TenantsCalls } from './workers/tenants.js';

const OBSERVERS = 20;
const PER_SECOND = 10_000;

async function run({ library, quick, startRedis, progress }: BenchContext): Promise<Finding[]> {
  const count = quick ? 10_000 : 100_000;
  const many = count.toLocaleString('en-US');
  await using server = await startRedis();
  await using workers = new Workers(library);
  const open = async () => {
    const worker = await workers.start<TenantsCalls>('tenants', ['--expose-gc']);
    await worker.call('open', { url: server.url });
    return worker;
  };
  const writer = await open();
  await writer.call('fill', { count });
  const findings: Finding[] = [];
  const beside = (what: string, ms: number, floor: number, most = 2): Finding => ({
    what,
    value: ms,
    unit: 'ms',
    floor,
    goal: { of: 'ratio', most },
  });
  const smooth = (what: string, delayMs: number): Finding => ({
    what: `${what}, delay of the event loop, p99`,
    value: delayMs,
    unit: 'ms',
    goal: { of: 'value', most: 20 },
  });
  for (const how of ['track', 'watch'] as const) {
    const worker = await open();
    const values = await worker.call('values', { count });
    await worker.call('raw', { count });
    const before = await worker.call('raw', { count });
    const live = await worker.call(how, { count });
    const resync = await worker.call('resync', { tracked: how === 'track' });
    const again = await worker.call('resync', { tracked: how === 'track' });
    const after = await worker.call('raw', { count });
    const floor = (before.ms + after.ms) / 2;
    const what = how === 'track' ? `${many} tracked for \`changes$\`` : `${many} watched`;
    progress(`many: ${what}`);
    findings.push(
      {
        what: `${what}, heap each ${how === 'track' ? '' : 'beyond its value'}`.trim(),
        value: Math.round(how === 'track' ? live.heapEach : live.heapEach - values),
        unit: 'bytes',
        goal: { of: 'value', most: 1_228 },
      },
      beside(`${what}, until live, beside GET and PTTL by pipelines`, live.ms, floor),
      beside(
        `${what}, from a lost link until known again, beside the same`,
        Math.min(resync.ms, again.ms),
        floor,
      ),
      smooth(`${what}, until live`, live.delayMs),
      smooth(`${what}, resync`, Math.max(resync.delayMs, again.delayMs)),
    );
    await worker.call('close');
  }
  const observer = await open();
  const ms = quick ? 1_000 : 5_000;
  const last = 'last';
  const observing = observer.call('observe', { observers: OBSERVERS, last });
  await new Promise((resolve) => setTimeout(resolve, quick ? 1_000 : 4_000));
  const { sent, tookMs } = await writer.call('churn', { count, perSecond: PER_SECOND, ms, last });
  const { seen, p50, p99 } = await observing;
  progress(`many: ${String(sent)} changes in ${tookMs.toFixed(0)} ms`);
  findings.push(
    {
      what: `changes emitted of ${sent.toLocaleString('en-US')} in ${(tookMs / 1_000).toFixed(1)} s across ids`,
      value: seen,
      unit: 'count',
    },
    { what: `from a write to the slowest of ${OBSERVERS} observers, p50`, value: p50, unit: 'ms' },
    { what: `from a write to the slowest of ${OBSERVERS} observers, p99`, value: p99, unit: 'ms' },
  );
  return findings;
}

export const manyCredentials: Bench = {
  name: 'many',
  question: 'What do a hundred thousand credentials take?',
  run,
};
