import { isUtf8 } from 'node:buffer';
import { EncodeError, UnreadableError } from '../errors.js';
import { pathTo, schemaPath } from './value-path.js';

/**
 * Turns credentials into bytes and back. A plain object, so that it can be spread into a store's options.
 *
 * @public
 */
export interface CredentialCodec<T> {
  /** Gives the exact bytes to store; a string is stored as UTF-8. */
  readonly serialize: (credentials: T) => string | Uint8Array | Promise<string | Uint8Array>;
  /** Reads the bytes that {@link CredentialCodec.serialize} returned; throws or rejects for any other bytes. */
  readonly deserialize: (bytes: Buffer) => T | Promise<T>;
}

/**
 * The part of the Standard Schema interface that a codec needs; schemas of zod, valibot, arktype and many others have it.
 *
 * @public
 */
export interface StandardSchema<T> {
  /** The place where the Standard Schema interface keeps everything. */
  readonly '~standard': {
    /** Version of the interface. */
    readonly version: 1;
    /** Name of the schema library. */
    readonly vendor: string;
    /** Checks a value. Only the number of issues is ever used, because they may quote the value. */
    readonly validate: (value: unknown) =>
      | {
          /** The output of the schema. */
          readonly value: T;
          /** Absent: that marks success. */
          readonly issues?: undefined;
        }
      | {
          /** The issues; they mark failure. */
          readonly issues: readonly unknown[];
        }
      | Promise<
          | {
              /** The output of the schema. */
              readonly value: T;
              /** Absent: that marks success. */
              readonly issues?: undefined;
            }
          | {
              /** The issues; they mark failure. */
              readonly issues: readonly unknown[];
            }
        >;
    /** For the type system only; no schema holds it at run time. */
    readonly types?:
      | {
          /** The type that the schema takes. */
          readonly input: unknown;
          /** The type that the schema makes of it. */
          readonly output: T;
        }
      | undefined;
  };
}

/** Plain credentials are rarely nested deeper than this; a circular object always is. */
const DEEPEST_PLAIN = 8;

/**
 * Stores credentials as JSON.
 *
 * Without a schema it refuses to save values that JSON would change (dates, maps, non-finite numbers …) and trusts the stored value. With a
 * schema, the schema checks the stored value and, before anything is sent, that the value to save can be read again.
 *
 * @param schema - any Standard Schema; its output type is the type of the credentials
 * @example
 * ```ts
 * import { jsonCodec } from 'credstream';
 * import { z } from 'zod';
 *
 * const codec = jsonCodec(z.object({ accessToken: z.string(), expiresAt: z.number() }));
 * ```
 * @public
 */
export function jsonCodec<T>(schema?: StandardSchema<T>): CredentialCodec<T> {
  if (schema === undefined) {
    return {
      serialize: (credentials) => toJson(credentials, refuseLoss),
      // Without a schema the caller vouches for the stored value.
      deserialize: (bytes) => parseJson(bytes) as T,
    };
  }
  return {
    async serialize(credentials) {
      const text = toJson(credentials);
      const result = await schema['~standard'].validate(JSON.parse(text));
      if (result.issues !== undefined) {
        const path = schemaPath(result.issues);
        const where = path === undefined ? '' : ` at ${path}`;
        throw new EncodeError(
          'schema',
          `the schema refused the credentials${where} (${issueCount(result.issues)})`,
          path,
        );
      }
      return text;
    },
    async deserialize(bytes) {
      const result = await schema['~standard'].validate(parseJson(bytes));
      if (result.issues !== undefined) {
        throw new UnreadableError(
          'schema',
          `the schema refused the stored value (${issueCount(result.issues)})`,
        );
      }
      return result.value;
    },
  };
}

// Messages of issues can quote the value, so only their number is shown.
function issueCount(issues: readonly unknown[]): string {
  return issues.length === 1 ? '1 issue' : `${String(issues.length)} issues`;
}

function toJson(
  value: unknown,
  replacer?: (this: unknown, key: string, value: unknown) => unknown,
): string {
  let text: unknown;
  try {
    // JSON.stringify takes many times as long with a replacer.
    const ask = replacer === undefined || isPlainData(value) ? undefined : replacer;
    text = JSON.stringify(value, ask);
  } catch (error) {
    if (error instanceof LossError) {
      const path = pathTo(value, error.holder, error.key);
      throw new EncodeError(
        'not-json',
        `the credentials hold ${error.kind} at ${path}, which JSON would change; use a schema or a codec`,
        path,
      );
    }
    throw new EncodeError('not-json', 'the credentials cannot be written as JSON');
  }
  if (typeof text !== 'string')
    throw new EncodeError('not-json', 'the credentials cannot be written as JSON');
  return text;
}

function refuseLoss(this: unknown, key: string, value: unknown): unknown {
  // `value` is the result of toJSON; the holder still has the original.
  const original = (this as Record<string, unknown>)[key];
  const kind = lossyKind(original, this);
  if (kind !== undefined) throw new LossError(kind, this, key);
  return value;
}

/** JSON would change a part of the value. Stays inside this file. */
class LossError extends Error {
  readonly kind: string;
  readonly holder: unknown;
  readonly key: string;

  constructor(kind: string, holder: unknown, key: string) {
    super(kind);
    this.kind = kind;
    this.holder = holder;
    this.key = key;
  }
}

/** Whether JSON certainly keeps the whole value. Rare kinds of values give `false`, and are then checked one by one. */
function isPlainData(value: unknown, depth = 0): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || depth > DEEPEST_PLAIN || 'toJSON' in value) return false;
  if (Array.isArray(value)) {
    for (const item of value) if (!isPlainData(item, depth + 1)) return false;
    return true;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const name in value) {
    const item = (value as Record<string, unknown>)[name];
    if (item !== undefined && !isPlainData(item, depth + 1)) return false;
  }
  return true;
}

function lossyKind(value: unknown, holder: unknown): string | undefined {
  if (typeof value === 'number')
    return Number.isFinite(value) ? undefined : 'a number that is not finite';
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  // An undefined property is left out and is undefined again when read; in a list it becomes null.
  if (value === undefined) return Array.isArray(holder) ? 'undefined in a list' : undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  if (value instanceof Date) return 'a Date';
  if (value instanceof Map || value instanceof Set) return 'a Map or Set';
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return 'binary data';
  // An instance of a class keeps its data; an Error, a URL, a RegExp or a Promise keeps nothing of use.
  const plain = Object.prototype.toString.call(value) === '[object Object]';
  return plain ? undefined : 'an object that is not plain data';
}

function parseJson(bytes: Buffer): unknown {
  try {
    // A decoder would turn each invalid byte into U+FFFD, and the credential into another one.
    if (!isUtf8(bytes)) throw new TypeError('not UTF-8');
    const text = bytes.toString('utf8');
    // An own `__proto__` key is harmless until somebody merges the object; no caller stores one on purpose.
    if (!text.includes('__proto__') && !text.includes('\\u')) return JSON.parse(text);
    return JSON.parse(text, (key, value: unknown) => {
      if (key === '__proto__') throw new SyntaxError('a key is named __proto__');
      return value;
    });
  } catch {
    // The message of JSON.parse quotes its input.
    throw new UnreadableError('decode', 'the stored bytes are not usable JSON');
  }
}
