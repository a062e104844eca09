/** The depth of the search through the `cause` of errors. */
const DEPTH = 5;

/** A longer text is no answer of a token endpoint. */
const MAX_BODY_CHARS = 16_384;

/** A path of names to a value in an error, or in the answer that it carries. */
export type Place = readonly string[];

/** An error and its causes, the outermost first. */
export function* causesOf(error: unknown): Generator<object> {
  let at: unknown = error;
  for (let depth = 0; depth < DEPTH && isObject(at); depth += 1) {
    yield at;
    at = readAt(at, ['cause']);
  }
}

/** The value at a path of names; `undefined` where the path breaks off, or a getter throws. */
export function readAt(from: unknown, path: Place): unknown {
  let at: unknown = from;
  try {
    for (const name of path) {
      if (!isObject(at)) return undefined;
      at = (at as Record<string, unknown>)[name];
    }
    return at;
  } catch {
    // A getter of a caller's error may throw.
    return undefined;
  }
}

/** The places where client libraries put the body of an answer. */
const BODIES: readonly Place[] = [
  ['response', 'data'],
  ['response', 'body'],
  ['body'],
  ['data', 'payload'],
  ['data'],
];

/** The bodies that an error carries; a text that holds JSON is parsed. */
export function bodiesOf(error: unknown): object[] {
  const bodies = BODIES.map((place) => parsed(readAt(error, place)));
  return bodies.filter(isObject);
}

function parsed(body: unknown): unknown {
  if (typeof body !== 'string' || body.length > MAX_BODY_CHARS || !body.trimStart().startsWith('{'))
    return body;
  try {
    return JSON.parse(body);
  } catch {
    // A page of a proxy in place of the provider's answer.
    return undefined;
  }
}

/** The headers that client libraries keep with an error, as `Headers` or as a plain object with names in lower case. */
const HEADERS: readonly Place[] = [['headers'], ['response', 'headers'], ['$response', 'headers']];

/** The value of a header of the answer that an error carries. */
export function headerOf(error: unknown, name: string): string | undefined {
  for (const place of HEADERS) {
    const headers = readAt(error, place);
    const value = headers instanceof Headers ? headers.get(name) : readAt(headers, [name]);
    if (typeof value === 'string') return value;
    if (typeof value === 'number') return String(value);
  }
  return undefined;
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Whether a value is an error, also of another realm, as under jest. */
export function isError(value: unknown): value is Error {
  try {
    return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';
  } catch {
    // A proxy that was revoked.
    return false;
  }
}
