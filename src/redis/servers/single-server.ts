import type { HintFeed, Observation } from '../../backend/backend.js';
import type { Commanding } from '../commands/command-channel.js';
import { ownKey } from '../keys.js';
import { RedisNode, type RedisNodeContext } from './server.js';
import type { RedisNodes } from './topology.js';
import type { NodeTemplate } from '../client/server-template.js';

/** One server has all keys; or one at a time, where Sentinel says which. */
export class SingleNode implements RedisNodes {
  readonly #node: RedisNode;

  constructor(template: NodeTemplate, context: RedisNodeContext) {
    this.#node = new RedisNode(template, context, {
      readsTogether: true,
      ownKey: (kind) => ownKey(kind, context.process),
      down: () => undefined,
    });
  }

  get feed(): HintFeed {
    return this.#node.feed;
  }

  commanding<R>(_key: string, use: (commanding: Commanding) => Promise<R>): Promise<R> {
    return this.#node.commanding(use);
  }

  observe(key: string, maxBytes: number): Promise<Observation> {
    return this.#node.observe(key, maxBytes);
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return this.#node.keys(prefix);
  }

  learned(announcing: boolean): void {
    this.#node.feed.learned(announcing);
  }

  retime(): void {
    this.#node.feed.retime();
  }

  close(timeoutMs: number): Promise<void> {
    return this.#node.close(timeoutMs);
  }
}
