import type {
  AttemptBackend,
  AttemptName,
  AttemptRecord,
  AttemptStart,
  CommitAttempt,
  CommitOutcome,
  EndAttempt,
  RenewAttempt,
  RenewOutcome,
  StartAttempt,
} from '../../backend/attempts.js';
import { RECORD_MS } from '../../backend/attempts.js';
import { UnavailableError } from '../../errors.js';
import { encodeAnnouncement, type Announcement } from '../commands/announcement.js';
import {
  ABSOLVE_ATTEMPT,
  COMMIT_ATTEMPT,
  END_ATTEMPT,
  RENEW_ATTEMPT,
  START_ATTEMPT,
} from './attempt-scripts.js';
import { replyWord, writeFailure } from '../reply-errors.js';
import type { ClientPool } from '../client-pool.js';
import { announcementChannel, clearedKey, helperKey } from '../keys.js';
import type { CommandConnection } from '../connection/connection.js';
import { runScript } from '../commands/reader.js';
import type { Script } from '../commands/scripts.js';
import { STAGE_MS } from '../commands/writer.js';

const NOTHING = '-'.repeat(40);

/** The attempts at credentials in one Redis: each verb is one script over keys in the credential's slot. */
export class RedisAttempts implements AttemptBackend {
  readonly #pool: ClientPool;
  readonly #replyTimeoutMs: number;
  readonly #name: string;

  constructor(hub: ClientPool, replyTimeoutMs: number, name: string) {
    this.#pool = hub;
    this.#replyTimeoutMs = replyTimeoutMs;
    this.#name = name;
  }

  replyTimeoutMs(): number {
    return this.#replyTimeoutMs;
  }

  async start(request: StartAttempt): Promise<AttemptStart> {
    const { leaseMs, minIntervalMs, endsAt, clearedBefore } = request;
    const before = clearedBefore && Math.min(clearedBefore, Number.MAX_SAFE_INTEGER);
    const rest = [whole(leaseMs), whole(minIntervalMs), instant(endsAt), instant(before)];
    const reply = (await this.#run(START_ATTEMPT, request, rest)) as [Buffer, Buffer?, number?];
    const type = String(reply[0]) as AttemptStart['type'];
    if (type === 'cleared') return { type };
    const record = JSON.parse(String(reply[1])) as AttemptRecord;
    if (type === 'started') return { type, record };
    return { type, record, leftMs: Number(reply[2]) };
  }

  async renew(request: RenewAttempt): Promise<RenewOutcome> {
    const { leaseMs, number, failures, blank } = request;
    const rest = [whole(leaseMs), whole(number), whole(failures), flag(blank)];
    return this.#say(RENEW_ATTEMPT, request, rest);
  }

  commit(request: CommitAttempt): Promise<CommitOutcome> {
    return this.#pool.servers.withSession(request.key, ({ connection }) =>
      this.#commitOver(connection, request),
    );
  }

  async end(request: EndAttempt): Promise<void> {
    const { key, outcome, number, failures, pauseMs, endsAt, oauthError = '' } = request;
    const counts = [whole(number), whole(failures), whole(pauseMs)];
    const publication = this.#publication(key, 'attempt');
    const rest = [outcome, ...counts, instant(endsAt), oauthError, ...publication];
    await this.#say(END_ATTEMPT, request, rest);
  }

  async absolve(name: AttemptName): Promise<void> {
    await this.#say(ABSOLVE_ATTEMPT, name, []);
  }

  async #commitOver(link: CommandConnection, request: CommitAttempt): Promise<CommitOutcome> {
    const { key, bytes, expected, expectedTtlEnd, number, failures, pauseMs, ttl, startedAt } =
      request;
    const stage = helperKey('stage', key, this.#pool.newName());
    const digest = expected === 'absent' ? NOTHING : expected.digest;
    const staged = Buffer.concat([Buffer.from(digest), bytes]);
    // Sent at once: the link keeps the order, and the script finds the copy or says that there is none.
    const staging = link.call((client) => client.set(stage, staged, 'PX', STAGE_MS));
    const rest = [
      whole(number),
      whole(failures),
      whole(pauseMs),
      String(ttl),
      instant(expectedTtlEnd),
      flag(request.evicted),
      whole(startedAt),
      ...this.#publication(key, 'saved'),
      flag(request.blank),
    ];
    const committing = this.#runOver(link, COMMIT_ATTEMPT, request, rest, [stage]);
    const [first, second] = await Promise.allSettled([staging, committing]);
    if (second.status === 'rejected') {
      await link.call((client) => client.del(stage)).catch(() => undefined);
      throw second.reason;
    }
    const outcome = String(second.value) as CommitOutcome | 'unstaged';
    if (outcome !== 'unstaged') return outcome;
    if (first.status === 'rejected') throw writeFailure(first.reason);
    throw new UnavailableError('the staged copy was gone; nothing was written');
  }

  #publication(key: string, kind: Announcement['kind']): [channel: string, message: string] {
    const { instance, template, clock } = this.#pool;
    return [
      announcementChannel(template.db, key),
      encodeAnnouncement({ kind, instance, name: this.#name, at: clock.now(), reason: undefined }),
    ];
  }

  async #say<R extends string>(
    script: Script,
    name: AttemptName,
    rest: readonly string[],
  ): Promise<R> {
    return String(await this.#run(script, name, rest)) as R;
  }

  /** @throws UnavailableError, RefusedError, OutcomeUnknownError */
  #run(script: Script, name: AttemptName, rest: readonly string[]): Promise<unknown> {
    return this.#pool.servers.withSession(name.key, ({ connection }) =>
      this.#runOver(connection, script, name, rest),
    );
  }

  async #runOver(
    link: CommandConnection,
    script: Script,
    { key, id }: AttemptName,
    rest: readonly string[],
    moreKeys: readonly string[] = [],
  ): Promise<unknown> {
    const keys = [helperKey('attempt', key, key), clearedKey(key), key, ...moreKeys];
    const own = [id, this.#pool.instance, whole(RECORD_MS)];
    const args = [String(keys.length), ...keys, ...own, ...rest];
    try {
      return await runScript(link, script, 'EVALSHA', 'EVAL', args, (reply) => reply);
    } catch (error) {
      // A demoted master stays one on this connection; the next connection is made to whatever is the master then.
      if (replyWord(error) === 'READONLY') link.kill();
      throw writeFailure(error);
    }
  }
}

function whole(value: number): string {
  return String(Math.ceil(value));
}

function flag(value: boolean): string {
  return value ? '1' : '';
}

function instant(value: number | undefined): string {
  return value === undefined ? '' : String(value);
}
