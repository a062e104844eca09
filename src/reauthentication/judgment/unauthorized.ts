import { bodiesOf, causesOf, isError, isObject, readAt } from './error-shapes.js';
import { httpStatus } from './http-status.js';

/** Words of clients that answer a refused credential without the status 401. */
const WORDS: ReadonlySet<unknown> = new Set([
  // Slack
  'invalid_auth',
  'not_authed',
  'token_expired',
  'token_revoked',
  'account_inactive',
  // AWS
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  // Salesforce
  'INVALID_SESSION_ID',
  // Microsoft Graph
  'InvalidAuthenticationToken',
  // PostgreSQL, MySQL, MongoDB
  '28P01',
  '28000',
  'ER_ACCESS_DENIED_ERROR',
  'AuthenticationFailed',
]);

/** The number of `UNAUTHENTICATED` in gRPC. */
const GRPC_UNAUTHENTICATED = 16;

const IN_ERROR = ['code', 'errorCode', 'error', 'codeName', 'name'];

/** Whether an error thrown by a client, or else its result, says that the credentials were refused. */
export function isUnauthorized(outcome: unknown): boolean {
  if (!isError(outcome)) return isUnauthorizedResult(outcome);
  for (const at of causesOf(outcome)) {
    if (isUnauthorizedResult(at) || isUnauthorizedCall(at)) return true;
    const words = [at, ...bodiesOf(at)].flatMap((part) =>
      IN_ERROR.map((name) => readAt(part, [name])),
    );
    if (words.some((word) => WORDS.has(word))) return true;
  }
  return false;
}

/** A result is the caller's own value: only shapes of answers count, no words. */
function isUnauthorizedResult(result: unknown): boolean {
  if (!isObject(result)) return false;
  if (httpStatus(result) === 401) return true;
  if (hasUnauthenticatedError(result)) return true;
  // Slack answers in this way with the status 200.
  return readAt(result, ['ok']) === false && WORDS.has(readAt(result, ['error']));
}

/** GraphQL answers with the status 200 and a list of errors. */
function hasUnauthenticatedError(answer: object): boolean {
  const lists = [['errors'], ['response', 'errors'], ['graphQLErrors']] as const;
  return lists.some((place) => {
    const errors = readAt(answer, place);
    if (!Array.isArray(errors)) return false;
    return errors.some((one) => readAt(one, ['extensions', 'code']) === 'UNAUTHENTICATED');
  });
}

function isUnauthorizedCall(error: object): boolean {
  if (readAt(error, ['code']) !== GRPC_UNAUTHENTICATED) return false;
  const message = readAt(error, ['message']);
  return (
    (typeof message === 'string' && message.startsWith('16 ')) ||
    isObject(readAt(error, ['metadata']))
  );
}
