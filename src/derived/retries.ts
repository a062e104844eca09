import type { BackOff } from '../time/back-off.js';

/** Between tries of what is built from credentials, and of what removes it. */
export const RETRY_BACK_OFF: BackOff = { initialMs: 1_000, maxMs: 60_000 };
