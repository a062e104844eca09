import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';

const NAME = 'credstream';

/**
 * The names of the properties by which an AsyncResource of Node.js carries its context: with AsyncContextFrame the frame, without it one
 * property for each AsyncLocalStorage. No public function makes an empty context.
 */
const CARRIERS: ReadonlySet<string | undefined> = new Set(['context_frame', 'kResourceStore']);

function carriersOf(resource: AsyncResource): symbol[] {
  return Object.getOwnPropertySymbols(resource).filter(({ description }) =>
    CARRIERS.has(description),
  );
}

function carriedBy(resource: AsyncResource, carrier: symbol): unknown {
  return (resource as unknown as Readonly<Record<symbol, unknown>>)[carrier];
}

function emptied(resource: AsyncResource): AsyncResource {
  for (const carrier of carriersOf(resource)) Reflect.deleteProperty(resource, carrier);
  return resource;
}

/** Whether the properties above are the whole context of a resource, as they are in every version of Node.js so far. */
const CARRIERS_KNOWN: boolean = (() => {
  const probe = new AsyncLocalStorage<true>();
  const resource = probe.run(true, () => new AsyncResource(NAME));
  const wasCarried = resource.runInAsyncScope(() => probe.getStore()) === true;
  const isEmptied = emptied(resource).runInAsyncScope(() => probe.getStore()) === undefined;
  // A storage that stays enabled slows down every promise of the process.
  probe.disable();
  return wasCarried && isEmptied;
})();

/**
 * The async context of one moment (the values of every `AsyncLocalStorage`: the request, the trace, the tenant), in which functions run at
 * any other moment.
 */
export class AsyncContext {
  readonly #resource: AsyncResource;

  private constructor(resource: AsyncResource) {
    this.#resource = resource;
  }

  /** The context of now. */
  static capture(): AsyncContext {
    return new AsyncContext(new AsyncResource(NAME));
  }

  /** A context that belongs to nobody. */
  static empty(): AsyncContext {
    // This module may be loaded in the middle of a request, by `import()` or `require`, and then begins in the context of that request.
    return new AsyncContext(emptied(new AsyncResource(NAME)));
  }

  run<R>(fn: () => R): R {
    // A resource for each call, because `AsyncLocalStorage.enterWith` changes the resource that is running.
    return this.#resource.runInAsyncScope(() => new AsyncResource(NAME)).runInAsyncScope(fn);
  }

  /** The function that calls `fn` in this context. */
  bind<A extends unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
    return (...args) => this.run(() => fn(...args));
  }

  /** Whether functions run the same way in both; `false` also where this runtime does not say. */
  equals(other: AsyncContext): boolean {
    if (this === other) return true;
    if (!CARRIERS_KNOWN) return false;
    const [a, b] = [this.#resource, other.#resource];
    return [...carriersOf(a), ...carriersOf(b)].every(
      (carrier) => carriedBy(a, carrier) === carriedBy(b, carrier),
    );
  }
}

const ROOT: AsyncContext = AsyncContext.empty();

/**
 * Runs work that serves all callers in the context of none. A promise of `fn` may be awaited as any other: the caller goes on in its own
 * context.
 */
export function inRootContext<R>(fn: () => R): R {
  return ROOT.run(fn);
}

/** A function of the caller, for calls on behalf of anybody: runs in the context of now. */
export function bindToContext<A extends unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  return AsyncContext.capture().bind(fn);
}

/**
 * A copy of options with every function bound to the context of now; options without a function are returned as they are. All functions
 * share one context.
 */
export function bindFunctions<O extends object>(options: O): O {
  const functions = Object.entries(options).filter(([, value]) => typeof value === 'function');
  if (functions.length === 0) return options;
  const context = AsyncContext.capture();
  const bound = functions.map(([name, fn]) => [
    name,
    context.bind(fn as (...args: unknown[]) => unknown),
  ]);
  return { ...options, ...(Object.fromEntries(bound) as Partial<O>) };
}

/**
 * Aborts a signal that callers listen to. Node.js runs the listeners in the context of `abort()`, whoever called that, and the signal does
 * not tell whose listeners they are: so they run in the context of nobody.
 */
export function abortInRootContext(controller: AbortController, reason?: unknown): void {
  if (!controller.signal.aborted)
    inRootContext(() => {
      controller.abort(reason);
    });
}
