import { ownPrefix } from '../../util/option-checks.js';
import { slotTag } from '../keys.js';

/**
 * The names of all that the store keeps in Redis beside the credentials, under one namespace: users whose rights end at the namespace cannot
 * touch the helper keys of another one, nor hear its announcements.
 */
export class HelperNames {
  /** The id of this instance. */
  readonly instance: string;
  readonly #prefix: string;
  #numbers = 0;

  constructor(namespace: string, instance: string) {
    this.#prefix = ownPrefix(namespace);
    this.instance = instance;
  }

  /** A name that is unique among all processes, and among all calls in this process. */
  unique(): string {
    this.#numbers += 1;
    return `${this.instance}:${String(this.#numbers)}`;
  }

  /** The channel of the announcements about a key. */
  announcements(db: number, key: string): string {
    return `${this.#prefix}${String(db)}:${key}`;
  }

  /** The record of the last attempt. */
  attempt(key: string): string {
    return this.#beside('attempt', key);
  }

  /** The tombstone: remembers for a while that the credential was cleared on purpose. */
  cleared(key: string): string {
    return this.#beside('cleared', key);
  }

  /** A staged copy, another one at each call. */
  stage(key: string): string {
    return `${this.#beside('stage', key)}:${this.unique()}`;
  }

  /** A marker behind a write, another one at each call. */
  marker(key: string): string {
    return `${this.#beside('wait', key)}:${this.unique()}`;
  }

  /**
   * A key that belongs to no credential: `epoch`, one for each server, or `probe`, one for each instance and server.
   *
   * @param tag - the text in braces that puts the key on a certain server of a cluster
   */
  own(kind: 'epoch' | 'probe', tag?: string): string {
    const place = tag === undefined ? '' : `:{${tag}}`;
    return `${this.#prefix}${kind}${place}${kind === 'probe' ? `:${this.instance}` : ''}`;
  }

  /**
   * A key in the credential's hash slot, so that one script or transaction may touch both. The key stands in its name, so that the patterns of
   * ACL rules keep apart users whose keys have a hash tag in common.
   */
  #beside(kind: string, key: string): string {
    return `${this.#prefix}${kind}:{${slotTag(key)}}:${key}`;
  }
}
