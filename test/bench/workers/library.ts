import type * as Credstream from 'credstream';

/** The build that is measured; see library-build.ts. */
export const credstream = (await import(
  process.env['BENCH_LIBRARY'] ?? 'credstream'
)) as typeof Credstream;
