/** redis.conf lines by name. */
export type RedisConfig = Readonly<Record<string, string>>;

/** A throw-away server: on loopback, nothing on disk unless asked, no password. */
export const BASE_CONFIG: RedisConfig = {
  bind: '127.0.0.1',
  'protected-mode': 'no',
  save: '',
  appendonly: 'no',
  daemonize: 'no',
};

/**
 * The text of a redis.conf. A file rather than `--name value` arguments because only there a line such as
 * `rename-command CONFIG ""` or `client-output-buffer-limit pubsub 1mb 1mb 1` reads the same in every version.
 */
export function configFile(config: RedisConfig): string {
  const lines = Object.entries(config).map(
    ([name, value]) => `${name} ${value === '' ? '""' : value}`,
  );
  return `${lines.join('\n')}\n`;
}

/** The password of the default user that this configuration sets. */
export function passwordIn(config: RedisConfig): string | undefined {
  return config['requirepass']?.replace(/^"(.*)"$/, '$1');
}
