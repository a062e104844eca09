import type { TestProject } from 'vitest/node';

import { compilePrograms } from './compiled-programs.js';
import { findRedis, type RedisKind } from './redis-server/index.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** The server that all test files of a run share. */
    redisUrl: string;
    redisKind: RedisKind;
  }
}

/** Starts the one server that a run shares, compiles the programs that tests start, and returns what ends both. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const provider = await findRedis();
  const [server, programs] = await Promise.all([provider.start(), compilePrograms()]);
  project.onTestsRerun(() => programs.update());
  console.log(`Tests run on ${provider.description}, Redis ${server.version} at ${server.url}`);
  project.provide('redisUrl', server.url);
  project.provide('redisKind', server.kind);
  return async () => {
    await Promise.all([server.stop(), programs[Symbol.asyncDispose]()]);
  };
}
