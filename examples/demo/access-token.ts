/** The credential of the demo, stored as JSON. The refresh token stays with whoever logged in. */
export interface AccessToken {
  readonly accessToken: string;
}

/** What any client may write at the key. */
export function storedForm(token: AccessToken): string {
  return JSON.stringify(token);
}

/** The only thing about a token, besides its end, that is ever shown. */
export function tokenBytes({ accessToken }: AccessToken): number {
  return Buffer.byteLength(accessToken);
}
