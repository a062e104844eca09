/** What a worker can be told to do, by name; arguments and results travel as JSON. */
export type Calls = Readonly<Record<string, (argument: never) => unknown>>;

export interface Call {
  readonly name: string;
  readonly argument: unknown;
}

export type Answer = { readonly result: unknown } | { readonly error: string };

/** Answers the calls of the process that started this one. */
export function serve(calls: Calls): void {
  process.on('message', ({ name, argument }: Call) => {
    void answer(calls, name, argument).then((one) => process.send?.(one));
  });
}

async function answer(calls: Calls, name: string, argument: unknown): Promise<Answer> {
  try {
    return { result: await calls[name]?.(argument as never) };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
