/** An instance did not see what it should, or not in time. The message is for people. */
export class DemoFailure extends Error {
  override name = 'DemoFailure';
}

/** The first line of the message and no more: what else an error carries may hold a secret. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.split('\n', 1)[0]! : 'unknown error';
}
