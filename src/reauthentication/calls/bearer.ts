import { InvalidOptionError } from '../../errors.js';
import { describeType } from '../../util/option-checks.js';
import { readAt } from '../judgment/error-shapes.js';

const NAMES = ['accessToken', 'access_token', 'token'];

/**
 * The header with a bearer token: credentials that are a text, or their property `accessToken`, `access_token` or `token`.
 *
 * @throws InvalidOptionError naming `headers` where there is no such text
 */
export function bearer(credentials: unknown): Readonly<Record<string, string>> {
  const found = [credentials, ...NAMES.map((name) => readAt(credentials, [name]))];
  const token = found.find((value) => typeof value === 'string' && value !== '');
  if (typeof token === 'string') return { authorization: `Bearer ${token}` };
  throw new InvalidOptionError(
    'headers',
    `must be given: the credentials (${describeType(credentials)}) have no accessToken, access_token or token`,
  );
}
