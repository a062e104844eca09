import type { CredentialSnapshot } from '../credential/snapshot.js';

/**
 * Whether what was made from one snapshot holds for the other: the same credentials, of which only the end may have moved.
 * Credentials that were withdrawn and came back have another signal, and what followed the old one has ended with it.
 */
export function sameCredential(
  a: CredentialSnapshot<unknown>,
  b: CredentialSnapshot<unknown>,
): boolean {
  return Object.is(a.credentials, b.credentials) && a.signal === b.signal;
}
