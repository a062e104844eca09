import type { Socket } from 'node:net';

import type { Direction, Faults, ProxyLink } from './faults.js';
import { reset } from './reset.js';

type Item =
  | { readonly kind: 'bytes'; readonly dueAt: number; readonly bytes: Buffer }
  | { readonly kind: 'action'; readonly dueAt: number; readonly run: () => void }
  | { readonly kind: 'end' | 'reset'; readonly dueAt: number };

/** What waits in the proxy before it stops reading, as a network holds only so much: then the sender's buffer fills. */
const HELD_BYTES = 64 * 1024;

/** What a {@link Pipe} joins. */
export interface PipeSetup {
  readonly direction: Direction;
  readonly source: Socket;
  readonly sink: Socket;
  readonly link: ProxyLink;
  readonly faults: Faults;
  /** Told how many bytes were handed to the sink. */
  readonly passed: (count: number) => void;
}

/** One direction of one connection: a queue in which everything, also the end, keeps its order and may have to wait. */
export class Pipe {
  readonly #setup: PipeSetup;
  #queue: Item[] = [];
  #heldBytes = 0;
  #lastDueAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;

  constructor(setup: PipeSetup) {
    this.#setup = setup;
    const { source, sink } = setup;
    source.on('data', (chunk: Buffer) => this.#accept(chunk));
    source.on('end', () => this.#add({ kind: 'end', dueAt: this.#dueAt() }));
    source.on('error', () => this.#add({ kind: 'reset', dueAt: this.#dueAt() }));
    sink.on('drain', () => {
      this.#draining = false;
      this.flush();
    });
    sink.on('close', () => this.#discard());
  }

  /** Passes on what may go: called whenever something may have changed. */
  readonly flush = (): void => {
    clearTimeout(this.#timer);
    const { direction, link, faults } = this.#setup;
    for (let item = this.#queue[0]; item !== undefined; item = this.#queue[0]) {
      if (this.#draining || faults.isPaused(direction, link)) break;
      const waitMs = item.dueAt - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(this.flush, Math.ceil(waitMs));
        break;
      }
      this.#queue.shift();
      this.#deliver(item);
    }
    this.#regulate();
  };

  /** Forgets the bytes that wait, as a network that lost them; an end that waits with them still comes. */
  drop(): void {
    this.#queue = this.#queue.filter(({ kind }) => kind !== 'bytes');
    this.#heldBytes = 0;
  }

  #accept(chunk: Buffer): void {
    const { direction, link, faults } = this.#setup;
    const actions: (() => void)[] = [];
    let bytes = chunk;
    for (const interceptor of faults.interceptors(direction, link)) {
      const verdict = interceptor(bytes, link, (action) => actions.push(action));
      if (verdict === null) bytes = Buffer.alloc(0);
      else if (verdict !== undefined) bytes = Buffer.from(verdict);
      if (bytes.length === 0) break;
    }
    const arrivesAt = this.#dueAt();
    const slicing = faults.slicing(direction, link) ?? { bytes: bytes.length, gapMs: 0 };
    for (let at = 0; at < bytes.length; at += slicing.bytes) {
      const piece = bytes.subarray(at, at + slicing.bytes);
      this.#heldBytes += piece.length;
      const dueAt = Math.max(arrivesAt, this.#lastDueAt + slicing.gapMs);
      this.#add({ kind: 'bytes', bytes: piece, dueAt });
    }
    for (const run of actions) this.#add({ kind: 'action', run, dueAt: this.#lastDueAt });
  }

  /** May be earlier than what waits before it, after a delay was taken back: the queue keeps the order all the same. */
  #dueAt(): number {
    const { direction, link, faults } = this.#setup;
    return performance.now() + faults.delayMs(direction, link);
  }

  #add(item: Item): void {
    this.#lastDueAt = item.dueAt;
    this.#queue.push(item);
    this.flush();
  }

  #deliver(item: Item): void {
    const { sink, passed } = this.#setup;
    if (item.kind === 'action') item.run();
    if (item.kind === 'bytes') this.#heldBytes -= item.bytes.length;
    if (item.kind === 'reset' && !sink.destroyed) reset(sink);
    // Ended by `end()` or gone: bytes that come now have nowhere to go.
    if (!sink.writable) return;
    if (item.kind === 'end') sink.end();
    if (item.kind === 'bytes') {
      this.#draining = !sink.write(item.bytes);
      passed(item.bytes.length);
    }
  }

  /** The sink is gone: reads on and forgets, so that the end of the source is noticed. */
  #discard(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#heldBytes = 0;
    this.#draining = false;
    this.#regulate();
  }

  #regulate(): void {
    const { source } = this.#setup;
    const full = this.#draining || this.#heldBytes > HELD_BYTES;
    if (full && !source.isPaused()) source.pause();
    if (!full && source.isPaused()) source.resume();
  }
}
