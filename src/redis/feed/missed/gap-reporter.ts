import type { FeedCondition } from '../../../backend/backend.js';
import type { Clock } from '../../../time/clock.js';
import { PacedReport, type PacedReportContext } from './paced-report.js';

/** Reports the gaps of one session, each in a later turn: several readings that notice the same gap report one. */
export class GapReporter {
  readonly #clock: Clock;
  readonly #begin: (gap: FeedCondition['gap']) => void;
  /** A hint was missed although notifications arrive, which other clients can cause again and again. */
  readonly #missed: PacedReport;
  #reporting = false;
  #stopped = false;

  /** @param begin - called when hints may have been missed */
  constructor(
    clock: Clock,
    settings: PacedReportContext['settings'],
    begin: (gap: FeedCondition['gap']) => void,
  ) {
    this.#clock = clock;
    this.#begin = begin;
    this.#missed = new PacedReport({ connectionSettings: { clock }, settings }, () => {
      this.report('link');
    });
  }

  report(gap: FeedCondition['gap']): void {
    if (this.#reporting) return;
    this.#reporting = true;
    this.#clock.nextTurn(() => {
      this.#reporting = false;
      if (!this.#stopped) this.#begin(gap);
    });
  }

  /** Reports a missed hint: now, or by a later {@link GapReporter.review}. */
  reportMissed(): void {
    this.#missed.request();
  }

  /** Makes a report that was put off and is due. Called once a heartbeat. */
  review(): void {
    this.#missed.review();
  }

  stop(): void {
    this.#stopped = true;
  }
}
