import { inspect } from 'node:util';

const SHOWN = '[hidden]';
const HIDDEN: PropertyDescriptorMap = Object.fromEntries(
  ['toString', 'toJSON', 'toLocaleString', inspect.custom].map((name) => [
    name,
    { value: () => SHOWN },
  ]),
);

/**
 * Hides the content of bytes from all that shows arguments of commands: tracing with a serializer of the caller's, `DEBUG=ioredis:*`, and the
 * `command` of an error. The bytes themselves go to Redis as they are.
 *
 * @returns the same object
 */
export function hideBytes(bytes: Buffer): Buffer {
  return Object.defineProperties(bytes, HIDDEN);
}
