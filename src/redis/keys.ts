import { RESERVED_PREFIX } from '../util/option-checks.js';

export const SLOTS = 16_384;

/** Names of the store's channels and keys in Redis beside the credential's own key. */
export const keyspaceChannel = (db: number, key: string): string =>
  `__keyspace@${String(db)}__:${key}`;

export const announcementChannel = (db: number, key: string): string =>
  `${RESERVED_PREFIX}${String(db)}:${key}`;

/** Escapes a text for a pattern of Redis, so that every character stands for itself. */
export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&');
}

/** A helper key in the credential's hash slot, so that one script or transaction may touch both. */
export function helperKey(kind: string, key: string, name: string): string {
  return `${RESERVED_PREFIX}${kind}:{${slotTag(key)}}:${name}`;
}

/**
 * A key that belongs to no credential: `epoch`, one for each server, or `probe`, one for each instance and server.
 *
 * @param tag - the text in braces that puts the key on a certain server of a cluster
 */
export function ownKey(kind: 'epoch' | 'probe', instance: string, tag?: string): string {
  const place = tag === undefined ? '' : `:{${tag}}`;
  return `${RESERVED_PREFIX}${kind}${place}${kind === 'probe' ? `:${instance}` : ''}`;
}

/** The tombstone: remembers for a while that the credential was cleared on purpose. */
export function clearedKey(key: string): string {
  return helperKey('cleared', key, key);
}

/** The text in braces that puts a key into the slot of `key`. A key that holds braces itself could not stand between braces. */
export function slotTag(key: string): string {
  const own = hashTag(key);
  if (own !== undefined) return own;
  if (!key.includes('}')) return key;
  const slot = slotOf(key);
  let number = 0;
  while (slotOf(String(number)) !== slot) number += 1;
  return String(number);
}

/** The part of a key that Redis Cluster hashes instead of the whole key: between the first `{` and the next `}`, if not empty. */
function hashTag(key: string): string | undefined {
  const open = key.indexOf('{');
  const close = open === -1 ? -1 : key.indexOf('}', open + 1);
  return close > open + 1 ? key.slice(open + 1, close) : undefined;
}

/** The Redis Cluster slot of a key: CRC-16/XMODEM of its hash tag or of the whole key. */
export function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(hashTag(key) ?? key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    crc &= 0xffff;
  }
  return crc % SLOTS;
}
