/** A master, its replicas and their sentinels as processes on this machine. Knows nothing of vitest, as examples use it too. */
export { SentinelSet } from './sentinel-set.js';
export { type SentinelOptions, startSentinel, startSentinelSet } from './start-sentinel.js';
