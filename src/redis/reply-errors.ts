import { OutcomeUnknownError, RefusedError, UnavailableError } from '../errors.js';

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
    super(`Redis cannot serve this key right now (${word})`);
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

const DENIED: ReadonlySet<string> = new Set(['NOAUTH', 'WRONGPASS', 'NOPERM']);

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

export function isDenial(error: unknown): boolean {
  return error instanceof RefusedError && DENIED.has(error.reply);
}

/** Translates the failure of a reading into an error of this package. */
export function readFailure(error: unknown): UnavailableError | RefusedError {
  if (error instanceof NotMasterError)
    return new UnavailableError('the Redis server is a replica, not a master');
  if (error instanceof MalformedReplyError)
    return new UnavailableError(`${error.message}; the connection was ended`);
  const word = replyWord(error);
  if (word === undefined) return new UnavailableError('Redis could not be reached', causeOf(error));
  return refusal(word, (error as Error).message);
}

/** Translates the failure of a write into an error of this package. */
export function writeFailure(error: unknown): Error {
  if (error instanceof ConnectionLostError && error.sent) {
    return new OutcomeUnknownError(
      error instanceof MalformedReplyError
        ? `${error.message}; the write may have happened`
        : 'the link was lost before Redis replied; the write may have happened',
      causeOf(error),
    );
  }
  return readFailure(error);
}

function refusal(word: string, message: string): UnavailableError | RefusedError {
  const [, where] = /^(?:MOVED|ASK) \d+ (\S+)$/.exec(message) ?? [];
  if (word === 'MOVED') return new RedirectedError('moved', word, where);
  if (word === 'ASK') return new RedirectedError('ask', word, where);
  if (word === 'TRYAGAIN') return new RedirectedError('partly', word);
  // Redis has a second text for CLUSTERDOWN, which means that the whole cluster is down.
  if (message.startsWith('CLUSTERDOWN Hash slot')) return new RedirectedError('later', word);
  return isPassing(word)
    ? new UnavailableError(`Redis cannot serve right now (${word})`)
    : new RefusedError(word, `Redis refused (${word})`);
}

/** Only codes survive: messages of connection errors may quote the password or the host's secrets. */
function causeOf(error: unknown): Error | undefined {
  const inner = error instanceof ConnectionLostError ? error.cause : error;
  if (!(inner instanceof Error) || !('code' in inner) || typeof inner.code !== 'string')
    return undefined;
  const call = 'syscall' in inner && typeof inner.syscall === 'string' ? `${inner.syscall} ` : '';
  return Object.assign(new Error(`${call}${inner.code}`), { code: inner.code });
}
