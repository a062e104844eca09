import { describe, expect, it } from 'vitest';

import { OrderedSubject } from '../../../src/util/ordered-subject.js';

/** What a subscriber receives, in order; `end` for the completion. */
function record(
  subject: OrderedSubject<number>,
  react: (value: number) => void = () => undefined,
): (number | 'end')[] {
  const seen: (number | 'end')[] = [];
  subject.asObservable().subscribe({
    next: (value) => {
      seen.push(value);
      react(value);
    },
    complete: () => seen.push('end'),
  });
  return seen;
}

describe('an ordered subject', () => {
  it('delivers a value that a subscriber emits after the current one', () => {
    const subject = new OrderedSubject<number>();
    const first = record(subject, (value) => {
      if (value === 1) for (const next of [2, 3]) subject.emit(next);
    });
    const second = record(subject);
    subject.emit(1);
    expect([first, second]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  it('completes after the values that wait', () => {
    const subject = new OrderedSubject<number>();
    const first = record(subject, (value) => {
      if (value === 1) {
        subject.emit(2);
        subject.complete();
      }
    });
    subject.emit(1);
    expect(first).toEqual([1, 2, 'end']);
    expect(record(subject)).toEqual(['end']);
  });

  it('gives a subscriber that comes during a value the next one first', () => {
    const subject = new OrderedSubject<number>();
    let late: (number | 'end')[] = [];
    record(subject, (value) => {
      if (value !== 1) return;
      late = record(subject);
      subject.emit(2);
    });
    subject.emit(1);
    expect(late).toEqual([2]);
  });

  it('runs the calls after a value before the next one, and the idle calls at the end', () => {
    const subject = new OrderedSubject<number>();
    const seen: string[] = [];
    record(subject, (value) => {
      seen.push(`first ${String(value)}`);
      subject.whenIdle(() => seen.push('idle'));
      subject.afterValue(() => {
        seen.push(`after ${String(value)}`);
        subject.afterValue(() => seen.push(`after that ${String(value)}`));
      });
      if (value === 1) subject.emit(2);
    });
    record(subject, (value) => seen.push(`second ${String(value)}`));
    subject.emit(1);
    const each = (value: number): string[] =>
      ['first', 'second', 'after', 'after that'].map((name) => `${name} ${String(value)}`);
    expect(seen).toEqual([...each(1), ...each(2), 'idle', 'idle']);
    subject.afterValue(() => seen.push('at once'));
    expect(seen.at(-1)).toBe('at once');
  });

  it('can be dropped while it has no subscriber and delivers nothing', () => {
    const subject = new OrderedSubject<number>();
    expect(subject.idle).toBe(true);
    const subscription = subject.asObservable().subscribe(() => {
      subscription.unsubscribe();
      expect([subject.idle, subject.busy, subject.current]).toEqual([false, true, 1]);
    });
    expect(subject.idle).toBe(false);
    subject.emit(1);
    expect([subject.idle, subject.busy, subject.current]).toEqual([true, false, undefined]);
  });
});

describe('an ordered subject with an initial value', () => {
  it('gives a late subscriber the last value, also after the completion', () => {
    const subject = new OrderedSubject({ value: 0 });
    expect(record(subject)).toEqual([0]);
    subject.emit(1);
    expect(record(subject)).toEqual([1]);
    subject.complete();
    expect(record(subject)).toEqual([1, 'end']);
  });

  it('gives a subscriber that comes during a value this one, and the pending ones after it', () => {
    const subject = new OrderedSubject({ value: 0 });
    let late: (number | 'end')[] = [];
    record(subject, (value) => {
      if (value !== 1) return;
      subject.emit(2);
      late = record(subject);
    });
    subject.emit(1);
    expect(late).toEqual([1, 2]);
  });

  it('accepts a value that the first one causes', () => {
    const subject = new OrderedSubject({ value: 0 });
    const seen = record(subject, (value) => {
      if (value === 0) subject.emit(1);
    });
    expect(seen).toEqual([0, 1]);
  });
});
