import { describe, expect, it } from 'vitest';

import type { Hint } from '../../src/credential-backend.js';
import { HintLabels } from '../../src/hint-labels.js';

const written = (reason: string): Hint => ({ type: 'written', origin: { node: 'n' }, reason });
const removed = (as: 'expired' | 'cleared' | 'evicted', reason?: string): Hint => ({
  type: 'removed',
  as,
  origin: 'out-of-band',
  reason,
});

describe('labels', () => {
  it('are none before the first hint', () => {
    const labels = new HintLabels();
    expect(labels.read()).toEqual({ write: undefined, removal: undefined });
    expect(labels.count).toBe(0);
  });

  it('are the last hint of each kind', () => {
    const labels = new HintLabels();
    for (const hint of [written('a'), removed('expired'), written('b'), removed('cleared', 'c')])
      labels.note(hint);
    expect(labels.read()).toEqual({
      write: written('b'),
      removal: { type: 'cleared', origin: 'out-of-band', reason: 'c' },
    });
    expect(labels.count).toBe(4);
  });

  it('are dropped by the observation that was issued after them', () => {
    const labels = new HintLabels();
    labels.note(written('a'));
    labels.note(removed('evicted'));
    labels.used(labels.count);
    expect(labels.read()).toEqual({ write: undefined, removal: undefined });
  });

  it('stay when they came while the observation was under way', () => {
    const labels = new HintLabels();
    labels.note(written('before'));
    const issuedAt = labels.count;
    labels.note(removed('expired'));
    // Reading an expired key makes Redis say so only then, and that may name this very change.
    expect(labels.read().removal?.type).toBe('expired');
    labels.used(issuedAt);
    expect(labels.read().write).toBeUndefined();
    expect(labels.read().removal?.type).toBe('expired');
    labels.used(labels.count);
    expect(labels.read().removal).toBeUndefined();
  });

  it('of one kind are judged by the last hint, not by the first', () => {
    const labels = new HintLabels();
    labels.note(written('before'));
    const issuedAt = labels.count;
    labels.note(written('after'));
    labels.used(issuedAt);
    expect(labels.read().write).toEqual(written('after'));
  });
});
