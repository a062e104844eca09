import { isError, readAt, type Place } from './error-shapes.js';

/** The places where `fetch`, `axios`, `undici`, `got` and others put the status of an answer. */
const OF_ANSWER: readonly Place[] = [
  ['status'],
  ['statusCode'],
  ['response', 'status'],
  ['response', 'statusCode'],
];

/** The places where `@hapi/boom`, the AWS SDK and `gaxios` put it in an error. */
const OF_ERROR: readonly Place[] = [
  ...OF_ANSWER,
  ['output', 'statusCode'],
  ['$metadata', 'httpStatusCode'],
  ['code'],
];

/** The status of an answer, or of the answer that an error carries. */
export function httpStatus(outcome: unknown): number | undefined {
  for (const place of isError(outcome) ? OF_ERROR : OF_ANSWER) {
    const value = readAt(outcome, place);
    const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
    if (typeof status === 'number' && status >= 100 && status <= 599) return status;
  }
  return undefined;
}
