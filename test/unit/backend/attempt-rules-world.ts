import type { AttemptRecord, AttemptView } from '../../../src/backend/attempts.js';

export const NOW = 1_000_000_000_000;
export const ME = 'this-instance';
export const BY = { instance: ME, name: 'host:1' };
export const END = 2e12;

export const view = (more: Partial<AttemptView> = {}): AttemptView => ({
  now: NOW,
  record: undefined,
  stored: true,
  conflict: false,
  clearedAt: undefined,
  clearEnded: false,
  version: 'v',
  ...more,
});

/** The record of another attempt, `b`, which runs. */
export const record = (more: Partial<AttemptRecord> = {}): AttemptRecord => ({
  id: 'b',
  instance: 'other',
  number: 4,
  startedAt: NOW - 1_000,
  leaseEndsAt: NOW + 5_000,
  outcome: 'running',
  failures: 2,
  notBefore: NOW - 900,
  ...more,
});

export const over = (more: Partial<AttemptRecord> = {}): AttemptRecord =>
  record({ outcome: 'failed', leaseEndsAt: 0, ...more });

export const common = { key: 'k', id: 'a', number: 7, failures: 1 };
