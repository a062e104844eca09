import { Observable } from 'rxjs';
import { AsyncContext } from '../time/async-context.js';

/** The same stream for callers: each subscriber receives its values in the context in which it subscribed. */
export function inSubscriberContext<V>(source$: Observable<V>): Observable<V> {
  return new Observable((subscriber) => {
    const context = AsyncContext.capture();
    return source$.subscribe({
      next: (value) => {
        context.run(() => {
          subscriber.next(value);
        });
      },
      error: (error: unknown) => {
        context.run(() => {
          subscriber.error(error);
        });
      },
      complete: () => {
        context.run(() => {
          subscriber.complete();
        });
      },
    });
  });
}
