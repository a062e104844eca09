/**
 * How a change was noticed. `live`: while connected · `resync`: on catching up after a gap · `local`: an expiry that this process concluded
 * alone, while the link was lost.
 *
 * @public
 */
export type ChangeSource = 'live' | 'resync' | 'local';

/**
 * The author of a change, as far as hints show; a label, not a proof. `self`: this store's own instance · `{ instance, name }`: another
 * instance · `out-of-band`: any other client of Redis · `unknown`: no hint named an author, or Redis itself made the change.
 *
 * `instance` is the random id of one pool of connections, the same for all its writes. `name` is the label from the option `name` of that
 * instance; empty when the message held none.
 *
 * @public
 */
export type ChangeOrigin =
  | 'self'
  | 'out-of-band'
  | 'unknown'
  | {
      /** The random id of the instance. */
      readonly instance: string;
      /** The label of the instance; empty when its message told none. */
      readonly name: string;
    };
