/** What is stored at a key. `foreign`: something that is no credential's bytes; it was not transferred. */
export type Content =
  | { readonly type: 'absent' }
  | { readonly type: 'bytes'; readonly bytes: Buffer }
  | { readonly type: 'foreign'; readonly reason: 'wrong-type' | 'too-large' };
