import type { Clock } from '../../../time/clock.js';
import type { RedisSettings } from '../../connection-options.js';

/** After a report the next one follows so many heartbeats later, twice as many after each, up to the period of probes. */
const FIRST_PAUSE_BEATS = 2;

export interface PacedReportContext {
  readonly connectionSettings: { readonly clock: Pick<Clock, 'monotonic'> };
  readonly settings: () => Pick<RedisSettings, 'heartbeatMs' | 'probeMs' | 'random'>;
}

/**
 * Reports a gap that other clients may cause again and again, and each report of which makes this process read everything. A report that
 * follows another one is put off, longer each time, by a part of the pause that differs between processes.
 */
export class PacedReport {
  readonly #context: PacedReportContext;
  readonly #report: () => void;
  /** Requested, and not reported yet. */
  #pending = false;
  #pauseMs = 0;
  /** No report before this instant. Monotonic. */
  #notBefore = -Infinity;

  constructor(context: PacedReportContext, report: () => void) {
    this.#context = context;
    this.#report = report;
  }

  /** Requests a report: now, or by a later {@link PacedReport.review}. */
  request(): void {
    this.#pending = true;
    this.review();
  }

  /** Makes a report that is due. Called at least once a heartbeat, so that no timer is needed. */
  review(): void {
    const now = this.#context.connectionSettings.clock.monotonic();
    if (!this.#pending || now < this.#notBefore) return;
    const { heartbeatMs, probeMs, random } = this.#context.settings();
    const most = Math.max(heartbeatMs, probeMs);
    const isFirst = now - this.#notBefore > most;
    this.#pauseMs = isFirst ? FIRST_PAUSE_BEATS * heartbeatMs : Math.min(2 * this.#pauseMs, most);
    this.#notBefore = now + this.#pauseMs * (0.5 + random() / 2);
    this.#pending = false;
    this.#report();
  }
}
