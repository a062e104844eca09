/** The TTL of written bytes: milliseconds, the time left to the replaced bytes, or none. */
export type Ttl = number | 'keep' | 'none';
