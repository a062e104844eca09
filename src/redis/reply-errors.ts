import { OutcomeUnknownError, RefusedError, UnavailableError } from '../errors.js';
import { isFull, sentenceOf } from './reply-sentences.js';

/** The server that a failure came from. */
export interface ReplySource {
  /** Host and port, or the path of a socket. */
  readonly address: string;
  /** Whether the caller gave a client of a cluster, so that redirections are followed. */
  readonly inCluster: boolean;
}

/** Where {@link withSource} keeps the source of an error. */
const SOURCE: unique symbol = Symbol('source');

/** Notes the server that a failure came from; for the message of the error that the caller gets. */
export function withSource<E extends Error>(error: E, source: ReplySource): E {
  if (!(SOURCE in error)) Object.defineProperty(error, SOURCE, { value: source });
  return error;
}

function sourceOf(error: unknown): ReplySource | undefined {
  return (error as { readonly [SOURCE]?: ReplySource } | undefined)?.[SOURCE];
}

/** The link was lost, or was never there; `sent` tells whether the command may have reached Redis. Stays inside this room. */
export class ConnectionLostError extends Error {
  readonly sent: boolean;

  constructor(sent: boolean, cause?: Error) {
    super('the link to Redis was lost', cause === undefined ? undefined : { cause });
    this.sent = sent;
  }
}

/**
 * A reply is no answer to its command: of another form, out of range, or about another key. The replies after it cannot be trusted either, so
 * the connection ends. Stays inside this room.
 */
export class MalformedReplyError extends ConnectionLostError {
  constructor() {
    super(true);
    this.message = 'a reply of Redis is no answer to its command';
  }
}

/** The server is a replica; its data may be old, or of a history that never happened. Stays inside this room. */
export class NotMasterError extends Error {
  constructor() {
    super('the server is a replica');
  }
}

/**
 * A server of a cluster does not have the slot, or not this key of it; nothing was done. Callers that know the other servers go on there.
 */
export class RedirectedError extends UnavailableError {
  /**
   * `moved`: another server has the slot · `ask`: another server has the key already · `partly`: another server has some of several keys ·
   * `later`: no server can serve the key at the moment.
   */
  readonly kind: 'moved' | 'ask' | 'partly' | 'later';
  /** Host and port of the other server, as Redis wrote them. */
  readonly address: string | undefined;

  constructor(kind: 'moved' | 'ask' | 'partly' | 'later', word: string, address?: string) {
    super(`Redis cannot serve this key right now (${word})`, undefined, word);
    this.name = 'UnavailableError';
    this.kind = kind;
    this.address = address;
  }
}

/** Redis cannot serve right now; the same command may succeed later or on another server. */
const PASSING: ReadonlySet<string> = new Set([
  'MOVED',
  'ASK',
  'LOADING',
  'BUSY',
  'MASTERDOWN',
  'READONLY',
  'TRYAGAIN',
  'CLUSTERDOWN',
  'UNBLOCKED',
]);

/**
 * The first word of an error reply, such as `NOPERM`; `undefined` for an error that is no reply. Nothing else of an ioredis error may be
 * kept: the message can quote arguments, and `command.args` holds all of them.
 */
export function replyWord(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  return /^[A-Z]+(?= |$)/.exec(error.message)?.[0] ?? 'ERR';
}

export function isPassing(word: string): boolean {
  return PASSING.has(word);
}

/** The texts by which servers refuse a command that is missing, or not permitted for this user; also when a script called the command. */
const NO_COMMAND =
  /\bpermissions? to run\b|\bcan't run this command\b|\b(?:unknown|unsupported)\b.*\bcommand\b|\bcommand is not (?:available|supported|allowed)\b/i;

/** Whether Redis refused the command as such, independent of its keys. */
export function isCommandRefused(error: unknown): boolean {
  const word = replyWord(error);
  return (word === 'NOPERM' || word === 'ERR') && NO_COMMAND.test((error as Error).message);
}

/** Whether faster attempts would not succeed sooner: somebody has to mend the set-up. */
export function isDenial(error: unknown): boolean {
  return error instanceof RefusedError;
}

/**
 * Translates the failure of a reading into an error of this package.
 *
 * @param fallback - the server, where the error itself does not know
 */
export function readFailure(
  error: unknown,
  fallback?: ReplySource,
): UnavailableError | RefusedError {
  const source = sourceOf(error) ?? fallback;
  const at = source === undefined ? '' : ` at ${source.address}`;
  if (error instanceof NotMasterError)
    return new UnavailableError(`the Redis server${at} is a replica, not a master`);
  if (error instanceof MalformedReplyError)
    return new UnavailableError(`${error.message}; the connection was ended`);
  const word = replyWord(error);
  if (word === undefined)
    return new UnavailableError(`Redis${at} could not be reached`, causeOf(error));
  return refusal(word, (error as Error).message, at, source?.inCluster ?? true);
}

/**
 * Translates the failure of a write into an error of this package.
 *
 * @param fallback - the server, where the error itself does not know
 */
export function writeFailure(error: unknown, fallback?: ReplySource): Error {
  if (error instanceof ConnectionLostError && error.sent) {
    return new OutcomeUnknownError(
      error instanceof MalformedReplyError
        ? `${error.message}; the write may have happened`
        : 'the link was lost before Redis replied; the write may have happened',
      causeOf(error),
    );
  }
  return readFailure(error, fallback);
}

function refusal(
  word: string,
  message: string,
  at: string,
  inCluster: boolean,
): UnavailableError | RefusedError {
  const [, where] = /^(?:MOVED|ASK) \d+ (\S+)$/.exec(message) ?? [];
  if ((word === 'MOVED' || word === 'ASK') && !inCluster)
    return new RefusedError(word, `Redis${at} is part of a cluster: give a Cluster of ioredis`);
  if (word === 'MOVED') return new RedirectedError('moved', word, where);
  if (word === 'ASK') return new RedirectedError('ask', word, where);
  if (word === 'TRYAGAIN') return new RedirectedError('partly', word);
  // Redis has a second text for CLUSTERDOWN, which means that the whole cluster is down.
  if (message.startsWith('CLUSTERDOWN Hash slot')) return new RedirectedError('later', word);
  const sentence = sentenceOf(message);
  const said = sentence === undefined ? ` (${word})` : `: ${word} ${sentence}`;
  if (isFull(message)) return new UnavailableError(`Redis${at} refused${said}`, undefined, word);
  return isPassing(word)
    ? new UnavailableError(`Redis${at} cannot serve right now${said}`, undefined, word)
    : new RefusedError(word, `Redis${at} refused${said}`);
}

/** Only codes survive: messages of connection errors may quote the password or the host's secrets. */
function causeOf(error: unknown): Error | undefined {
  const inner = error instanceof ConnectionLostError ? error.cause : error;
  if (!(inner instanceof Error) || !('code' in inner) || typeof inner.code !== 'string')
    return undefined;
  const call = 'syscall' in inner && typeof inner.syscall === 'string' ? `${inner.syscall} ` : '';
  return Object.assign(new Error(`${call}${inner.code}`), { code: inner.code });
}
