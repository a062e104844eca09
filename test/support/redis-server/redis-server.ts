/** How a server is run. */
export type RedisKind = 'binary' | 'container';

/** Something that speaks Redis at an address, started by us or not. */
export interface RedisEndpoint {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** As the server tells it, such as `7.0.15`. */
  readonly version: string;
  /** Ends what we started; does nothing to a server that was given by URL. Idempotent. */
  stop(): Promise<void>;
}

/** What a server is started with. */
export interface StartOptions {
  /** Appended to the command line, so it wins over `config`. */
  readonly args?: readonly string[];
  /** Default: a free one, chosen again should somebody else take it first. */
  readonly port?: number;
  /**
   * Lines of redis.conf, name and the rest of the line as it would stand there (`{ 'rename-command CONFIG': '' }`,
   * `{ user: 'app on >pw ~* +@all' }`); an empty value is written as `""`. Wins over the defaults below.
   */
  readonly config?: Readonly<Record<string, string>>;
  /** Where configuration, log and data go; kept at the end. Binaries only. Default: a temporary one, removed at the end. */
  readonly dir?: string;
}

/** What changes over a restart. */
export interface RestartOptions {
  /**
   * Comes back with its data: what a SAVE just now gives if the server runs, else the last SAVE before it was killed.
   * Default: comes back empty.
   */
  readonly keepData?: boolean;
  /** Laid over the configuration it has so far; stays for later restarts. */
  readonly config?: Readonly<Record<string, string>>;
  /** Resolves as soon as the server answers at all, also `-LOADING`. Default: waits until it answers PONG. */
  readonly whileLoading?: boolean;
}

/** A Redis server of our own. All of it resolves when done: killed is gone, restarted answers. */
export interface RedisServer extends RedisEndpoint, AsyncDisposable {
  readonly kind: RedisKind;
  /** Of a running binary; in a container there is none on this side. */
  readonly pid: number | undefined;
  /** Final: removes the process or container and its temporary directory, whatever state it was in. */
  stop(): Promise<void>;
  /** SIGKILL, no goodbye. `restart()` brings it back. */
  kill(): Promise<void>;
  /** SIGSTOP (pause of a container): the kernel still accepts connections and bytes, nobody answers. */
  suspend(): Promise<void>;
  /** Goes on where `suspend()` stopped it. */
  resume(): Promise<void>;
  /** Kills it if it runs and starts it again on the same port, by default empty. */
  restart(options?: RestartOptions): Promise<void>;
}

/** A way to start servers that was found to work on this machine. */
export interface RedisProvider {
  readonly kind: RedisKind;
  /** For people: which program or image. */
  readonly description: string;
  start(options?: StartOptions): Promise<RedisServer>;
}
