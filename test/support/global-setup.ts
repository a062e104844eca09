import type { TestProject } from 'vitest/node';

import { findRedis, type RedisKind } from './redis-server/index.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** The server that all test files of a run share. */
    redisUrl: string;
    redisKind: RedisKind;
  }
}

/** Starts the one server that a run shares, and returns what stops it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const provider = await findRedis();
  const server = await provider.start();
  console.log(`Tests run on ${provider.description}, Redis ${server.version} at ${server.url}`);
  project.provide('redisUrl', server.url);
  project.provide('redisKind', server.kind);
  return () => server.stop();
}
