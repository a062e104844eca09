import { fileURLToPath } from 'node:url';

import { startNodeProcess, type NodeProcessOptions } from '../support/node-process.js';
import { within } from '../support/wait.js';

/** A program of `examples/` that has ended by itself. */
export interface FinishedProcess {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

/** Runs a program of `examples/` to its end; one that does not end in time is stopped, and fails. */
export async function run(
  file: string,
  options: NodeProcessOptions & { readonly timeoutMs: number },
): Promise<FinishedProcess> {
  await using child = await startNodeProcess(`${EXAMPLES}${file}`, options);
  const late = new Error(`${file} had not ended after ${options.timeoutMs} ms`);
  const { code } = await within(options.timeoutMs, late, child.exited);
  return { code, stdout: child.stdout, stderr: child.stderr };
}
