import type { CredentialChangeType } from 'credstream';

import { monotonicMs } from '../monotonic-clock.js';
import type { DemoInstance } from '../instances/demo-instance.js';
import type { InstanceChange } from '../instances/instance-change.js';
import type { Report, SummaryColumn } from '../report/demo-event.js';
import type { Deadline } from '../stage/stage.js';
import { DemoFailure, messageOf } from './demo-failure.js';

/** A write, and what every instance should be told because of it. */
export interface Step {
  /** Short, for the head of a column. */
  readonly step: string;
  /** For people: what is written, without the token. */
  readonly does: string;
  readonly write: () => Promise<unknown>;
  readonly expect: Pick<InstanceChange, 'type'> &
    Partial<Pick<InstanceChange, 'reason' | 'tokenBytes'>>;
}

/** An end that is coming, and will be told of without anybody writing. */
export interface ExpiryStep {
  readonly step: string;
  readonly does: string;
  readonly deadline: Deadline;
}

/** Far more than a busy machine needs: who is silent for so long has missed it. */
const PATIENCE_MS = 20_000;

/** The instances as those who vouch for every step: each must be told of it, in the same order, and of nothing else. */
export class Witnesses {
  readonly columns: SummaryColumn[] = [];
  readonly #instances: readonly DemoInstance[];
  readonly #report: Report;
  readonly #expected: CredentialChangeType[] = [];
  /** How many changes each instance had been told of before. */
  readonly #earlier: ReadonlyMap<DemoInstance, number>;

  constructor(instances: readonly DemoInstance[], report: Report) {
    this.#instances = instances;
    this.#earlier = new Map(instances.map((instance) => [instance, instance.told.length]));
    this.#report = report;
  }

  /** Writes, and resolves when every instance has told. */
  async see({ step, does, write, expect }: Step): Promise<void> {
    this.#report({ event: 'step', step, does });
    const issuedAtMs = monotonicMs();
    const [ms] = await Promise.all([
      this.#latencies({ step, since: 'write', fromMs: issuedAtMs, expect, waitMs: PATIENCE_MS }),
      write(),
    ]);
    this.columns.push({ title: step, since: 'write', ms });
  }

  /** Resolves when every instance has told of the expiry; before the deadline nobody may. */
  async seeExpiry({ step, does, deadline }: ExpiryStep): Promise<void> {
    this.#report({ event: 'step', step, does });
    const { atMs, uncertaintyMs } = deadline;
    const waitMs = Math.max(0, atMs - monotonicMs()) + PATIENCE_MS;
    const expect = { type: 'expired' } as const;
    const ms = await this.#latencies({ step, since: 'deadline', fromMs: atMs, expect, waitMs });
    for (const [instance, lateness] of Object.entries(ms)) {
      if (lateness + uncertaintyMs >= 0) continue;
      throw new DemoFailure(
        `${instance} was told "expired" ${(-lateness).toFixed(2)} ms before the server's deadline`,
      );
    }
    this.columns.push({ title: step, since: 'deadline', ms });
  }

  /** Every instance asks the API with what it holds in memory: it answers 200, or nobody holds a token. */
  async useTokens(step: string, url: string, expected: 200 | 'no token'): Promise<void> {
    const answers = await Promise.all(
      this.#instances.map(
        async (instance) => [instance.name, (await instance.useToken(url)) ?? null] as const,
      ),
    );
    this.#report({ event: 'used', step, status: Object.fromEntries(answers) });
    for (const [instance, status] of answers) {
      if ((status ?? 'no token') === expected) continue;
      throw new DemoFailure(`${instance} used its token: ${status ?? 'no token'}, not ${expected}`);
    }
  }

  /** After the last step: whether any instance was told more than was seen, or something else. */
  checkAll(): void {
    const expected = this.#expected.join(', ');
    for (const instance of this.#instances) {
      const told = instance.told.slice(this.#earlier.get(instance));
      const seen = told.map(({ type }) => type).join(', ');
      if (seen !== expected) {
        throw new DemoFailure(`${instance.name} was told "${seen}" in all, not "${expected}"`);
      }
    }
  }

  async #latencies(wanted: Wanted): Promise<Record<string, number>> {
    this.#expected.push(wanted.expect.type);
    const all = this.#instances.map(async (instance) => [
      instance.name,
      await this.#hear(instance, wanted),
    ]);
    return Object.fromEntries(await Promise.all(all)) as Record<string, number>;
  }

  /** What one instance tells next. Reported before it is judged, so that a wrong one shows in the timeline. */
  async #hear(
    instance: DemoInstance,
    { step, since, fromMs, expect, waitMs }: Wanted,
  ): Promise<number> {
    const { toldAtMs, ...change } = await instance.next(waitMs).catch((error: unknown) => {
      throw new DemoFailure(
        `${instance.name} was not told "${expect.type}" (${step}): ${messageOf(error)}`,
      );
    });
    const latencyMs = toldAtMs - fromMs;
    this.#report({ event: 'told', step, instance: instance.name, since, latencyMs, ...change });
    for (const [field, value] of Object.entries(expect)) {
      const seen = change[field as keyof typeof expect];
      if (seen === value) continue;
      throw new DemoFailure(
        `${instance.name} was told ${field} ${String(seen)} where ${field} ${value} was due (${step})`,
      );
    }
    return latencyMs;
  }
}

interface Wanted {
  readonly step: string;
  readonly since: SummaryColumn['since'];
  readonly fromMs: number;
  readonly expect: Step['expect'];
  readonly waitMs: number;
}
