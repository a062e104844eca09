import { expire } from './expire.js';
import { logIn } from './log-in.js';
import { logOut } from './log-out.js';
import { overwrite } from './overwrite.js';
import { refreshOnce } from './refresh-once.js';
import { renew } from './renew.js';
import type { Scene } from './scene.js';
import { takeOver } from './take-over.js';

/** The demo, in order. */
export const scenes: readonly Scene[] = [
  logIn,
  renew,
  overwrite,
  expire,
  logOut,
  refreshOnce,
  takeOver,
];
