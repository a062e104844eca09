import { type NodeProcess, startNodeProcess } from '../support/node-process.js';
import type { LibraryBuild } from './library-build.js';
import type { Answer, Call, Calls } from './workers/serve.js';

/** A process of its own that does what it is told; `W` are its calls. */
export interface Worker<W extends Calls> {
  /** One at a time. */
  call<Name extends keyof W & string>(
    name: Name,
    ...argument: Parameters<W[Name]>
  ): Promise<Awaited<ReturnType<W[Name]>>>;
}

const CALL_DEADLINE_MS = 180_000;

/** The processes of one benchmark; they end together. */
export class Workers implements AsyncDisposable {
  readonly #library: LibraryBuild;
  readonly #running: NodeProcess<Answer, Call>[] = [];

  constructor(library: LibraryBuild) {
    this.#library = library;
  }

  /** Starts `workers/<file>.ts`. */
  async start<W extends Calls>(file: string, nodeArgs: readonly string[] = []): Promise<Worker<W>> {
    const running = await startNodeProcess<Answer, Call>(
      new URL(`workers/${file}.ts`, import.meta.url),
      { nodeArgs, env: { BENCH_LIBRARY: this.#library.url } },
    );
    this.#running.push(running);
    return {
      async call(name, ...[argument]) {
        await running.send({ name, argument });
        const answer = await running.next(undefined, CALL_DEADLINE_MS);
        if ('error' in answer) throw new Error(`${file}.${name}: ${answer.error}`);
        return answer.result as never;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map((one) => one.stop()));
  }
}
