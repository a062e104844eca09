import type { OAuthSession } from '../oauth/oauth-session.js';
import type { OAuthServerAddress } from '../oauth/oauth-server.js';
import type { Stage } from '../stage/stage.js';
import type { LoginWitness } from './login-witness.js';
import type { Witnesses } from './witnesses.js';

/** What a scene plays with. */
export interface SceneContext {
  readonly stage: Stage;
  readonly witnesses: Witnesses;
  /** Of those scenes in which the instances keep a login valid. */
  readonly loginWitness: LoginWitness;
  readonly oauthServer: OAuthServerAddress;
  /** How long its access tokens last. */
  readonly tokenSeconds: number;
  /** Who is logged in, since the scene that logged in. */
  session: OAuthSession | undefined;
}

/** One part of the demo. Scenes are played in the order of `scenes/index.ts`; each finds what the one before left. */
export interface Scene {
  readonly name: string;
  readonly title: string;
  readonly play: (context: SceneContext) => Promise<void>;
}

/** @throws Error before the scene that logs in. */
export function sessionOf({ session }: SceneContext): OAuthSession {
  if (session === undefined) throw new Error('nobody has logged in yet');
  return session;
}
