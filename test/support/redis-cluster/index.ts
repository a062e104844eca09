/** A Redis Cluster of processes on this machine. Knows nothing of vitest, as examples use it too. */
export type { ClusterServer } from './cluster-server.js';
export { type AtomicWay, moveAtomically } from './atomic-move.js';
export { type ClusterClientOptions, RedisCluster } from './redis-cluster.js';
export type { SlotMove } from './slot-move.js';
export { type ClusterOptions, startRedisCluster } from './start-cluster.js';
