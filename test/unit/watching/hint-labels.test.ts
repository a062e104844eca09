import { describe, expect, it } from 'vitest';

import type { Hint } from '../../../src/backend/backend.js';
import { HintLabels } from '../../../src/watching/entry/hint-labels.js';

const written = (reason: string): Hint => ({
  type: 'written',
  origin: { instance: 'n', name: 'pod' },
  reason,
});
const removed = (as: 'expired' | 'cleared' | 'evicted', reason?: string): Hint => ({
  type: 'removed',
  as,
  origin: 'out-of-band',
  reason,
});

describe('labels', () => {
  it('are empty before the first hint', () => {
    const labels = new HintLabels();
    expect(labels.read()).toEqual({ write: undefined, removal: undefined });
  });

  it('contain the last hint of each kind', () => {
    const labels = new HintLabels();
    for (const hint of [written('a'), removed('expired'), written('b'), removed('cleared', 'c')])
      labels.note(hint);
    expect(labels.read()).toEqual({
      write: written('b'),
      removal: { type: 'cleared', origin: 'out-of-band', reason: 'c' },
    });
  });

  it('are dropped by the observation that covered them', () => {
    const labels = new HintLabels();
    labels.note(written('a'));
    labels.note(removed('evicted'));
    labels.covered();
    labels.used();
    expect(labels.read()).toEqual({ write: undefined, removal: undefined });
  });

  it('of an own write count from its announcement, not from its reply', () => {
    const own: Hint = { type: 'written', origin: 'self', reason: undefined };
    const labels = new HintLabels();
    labels.note(own);
    labels.note(written('later'));
    labels.noteAnswer(own);
    expect(labels.read().write).toEqual(written('later'));
    // This one is announced after its answer, and the next not at all.
    labels.noteAnswer(own);
    expect(labels.read().write).toBe(own);
    labels.note(own);
    labels.note(written('later still'));
    labels.noteAnswer(own);
    expect(labels.read().write).toBe(own);
  });

  it('stay when their hints came while the observation was under way', () => {
    const labels = new HintLabels();
    labels.note(written('before'));
    labels.covered();
    labels.note(removed('expired'));
    // Reading an expired key makes Redis say so only then, and that may name this very change.
    expect(labels.read().removal?.type).toBe('expired');
    labels.used();
    expect(labels.read().write).toBeUndefined();
    expect(labels.read().removal?.type).toBe('expired');
    labels.covered();
    labels.used();
    expect(labels.read().removal).toBeUndefined();
  });

  it('of one kind are those of the last hint, not of the first', () => {
    const labels = new HintLabels();
    labels.note(written('before'));
    labels.covered();
    labels.note(written('after'));
    labels.used();
    expect(labels.read().write).toEqual(written('after'));
  });
});
