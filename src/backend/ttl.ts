/** How long the written bytes stay: milliseconds, or as long as those they replace, or without end. */
export type Ttl = number | 'keep' | 'none';
