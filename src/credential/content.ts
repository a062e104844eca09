/** The content of a key. `foreign`: not the bytes of a credential; such content was not transferred. */
export type Content =
  | { readonly type: 'absent' }
  | { readonly type: 'bytes'; readonly bytes: Buffer }
  | { readonly type: 'foreign'; readonly reason: 'wrong-type' | 'too-large' };
