export const SLOTS = 16_384;

/** The channel of Redis's notifications about a key. */
export const keyspaceChannel = (db: number, key: string): string =>
  `__keyspace@${String(db)}__:${key}`;

/** Escapes a text for a pattern of Redis, so that every character stands for itself. */
export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&');
}

/** The text in braces that puts a key into the slot of `key`. A key that holds braces itself could not stand between braces. */
export function slotTag(key: string): string {
  const own = hashTag(key);
  if (own !== undefined) return own;
  if (!key.includes('}')) return key;
  return numberIn(slotOf(key));
}

/** The number of binary digits that reach every slot. */
const DIGITS = 16;

/**
 * A number that hashes to a slot, computed and not searched for: CRC-16 is linear, so that each digit 1 in place of a 0 flips the same bits of
 * the slot, whatever the other digits are.
 */
function numberIn(slot: number): string {
  let left = slot ^ slotOf('0'.repeat(DIGITS));
  let digits = 0;
  for (const { bit, flips, by } of FLIPS) {
    if ((left & bit) === 0) continue;
    left ^= flips;
    digits ^= by;
  }
  return digits.toString(2).padStart(DIGITS, '0');
}

/** For each bit of a slot the digits that flip it, and no bit of an earlier element. */
const FLIPS: readonly Flip[] = eliminated();

interface Flip {
  readonly bit: number;
  /** The bits of the slot that change, `bit` among them. */
  readonly flips: number;
  /** The digits that are 1, as a binary number. */
  readonly by: number;
}

/** Gaussian elimination over the bits that single digits flip. */
function eliminated(): readonly Flip[] {
  const zero = slotOf('0'.repeat(DIGITS));
  const found: Flip[] = [];
  for (let digit = 0; digit < DIGITS; digit += 1) {
    let by = 1 << digit;
    let flips = zero ^ slotOf(by.toString(2).padStart(DIGITS, '0'));
    for (const one of found) {
      if ((flips & one.bit) === 0) continue;
      flips ^= one.flips;
      by ^= one.by;
    }
    if (flips !== 0) found.push({ bit: flips & -flips, flips, by });
  }
  return found;
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
