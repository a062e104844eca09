import { setTimeout as delay } from 'node:timers/promises';

import { openRedis, type OpenedRedis } from '../support/open-redis.js';
import { monotonicMs } from './monotonic-clock.js';
import { startOAuthServer, type OAuthServer } from './oauth/oauth-server.js';
import type { Report } from './report/demo-event.js';
import { DemoFailure } from './scenes/demo-failure.js';
import { scenes } from './scenes/index.js';
import { LoginWitness } from './scenes/login-witness.js';
import { rehearse } from './scenes/rehearsal.js';
import type { SceneContext } from './scenes/scene.js';
import { Witnesses } from './scenes/witnesses.js';
import { setEmbeddedStage } from './stage/embedded-stage.js';
import { setRedisStage } from './stage/redis-stage.js';
import type { Stage } from './stage/stage.js';
import { untilAborted } from './until-aborted.js';

const INSTANCES = ['instance-1', 'instance-2', 'instance-3'];
/** Long enough for every scene, short enough to wait for the end of one. */
const TOKEN_SECONDS = 5;
/**
 * For all of it, from the moment there is a Redis; finding one may mean downloading it. It takes about 15 s: only a demo that hangs
 * reaches the deadline, not a busy machine.
 */
const DEADLINE_MS = 120_000;
/** Between scenes, so that people can read. */
const PACE_MS = 400;

/**
 * Plays all scenes, and stops what it started. When `end` is aborted it lets go at once; what was just being started then goes with this
 * process.
 *
 * @throws DemoFailure when an instance did not see what it should; the reason of `end`
 */
export async function runDemo(report: Report, end: AbortController): Promise<void> {
  const redis = await untilAborted(end.signal, openRedis(process.env));
  await using _redis = { [Symbol.asyncDispose]: async () => redis.endpoint?.stop() };
  reportRedis(redis, report);
  const late = new DemoFailure(`not at its end after ${DEADLINE_MS / 1_000} s`);
  setTimeout(() => end.abort(late), DEADLINE_MS).unref();

  await using oauthServer = await untilAborted(end.signal, startOAuthServer(TOKEN_SECONDS));
  const { issuer } = oauthServer.address;
  report({ event: 'oauth', issuer, tokenSeconds: TOKEN_SECONDS });

  await using stage = await untilAborted(end.signal, setStage(redis));
  for (const { name: instance, where, notifications } of stage.instances) {
    report({ event: 'instance', instance, where, notifications });
  }
  await untilAborted(end.signal, play(stage, oauthServer, report));
}

async function play(stage: Stage, oauthServer: OAuthServer, report: Report): Promise<void> {
  const startedAtMs = monotonicMs();
  report({ event: 'rehearsal', ...(await rehearse(stage)) });
  const witnesses = new Witnesses(stage.instances, report);
  const context: SceneContext = {
    stage,
    witnesses,
    loginWitness: new LoginWitness(stage.instances, oauthServer, report),
    oauthServer: oauthServer.address,
    tokenSeconds: TOKEN_SECONDS,
    session: undefined,
  };
  for (const { name, title, play } of scenes) {
    await delay(PACE_MS);
    const seconds = (monotonicMs() - startedAtMs) / 1_000;
    report({ event: 'scene', scene: name, title, seconds });
    await play(context);
  }
  // What an instance was told too much may still be on its way; when it has ended, all of it has arrived.
  await Promise.all(stage.instances.map((instance) => instance.stop()));
  witnesses.checkAll();
  report({ event: 'summary', columns: witnesses.columns });
}

function setStage(redis: OpenedRedis): Promise<Stage> {
  return redis.endpoint === undefined
    ? setEmbeddedStage(INSTANCES)
    : setRedisStage(redis.endpoint.url, INSTANCES);
}

function reportRedis(redis: OpenedRedis, report: Report): void {
  if (redis.endpoint === undefined) {
    report({ event: 'embedded', why: redis.why });
    return;
  }
  const { product, how } = redis;
  const { version, port } = redis.endpoint;
  report({ event: 'redis', product, version, port, how });
}
