/** Longer names, and names of other characters, are likely to be data: a map by email address, or by token. */
const FIELD = /^[A-Za-z_$][\w$]{0,39}$/;

/** The path to a part of credentials, as JavaScript writes it. */
export function pathTo(root: unknown, holder: unknown, key: string): string {
  const names = namesTo(root, holder, new Set());
  return show(names === undefined ? [] : [...names, key]);
}

/** The path of the first issue of a schema that has one. */
export function schemaPath(issues: readonly unknown[]): string | undefined {
  for (const issue of issues) {
    const path: unknown = typeof issue === 'object' && issue !== null && Reflect.get(issue, 'path');
    if (!Array.isArray(path) || path.length === 0) continue;
    return show(
      path.map((part: unknown): unknown =>
        typeof part === 'object' && part !== null ? Reflect.get(part, 'key') : part,
      ),
    );
  }
  return undefined;
}

function namesTo(
  value: unknown,
  holder: unknown,
  seen: Set<unknown>,
): readonly string[] | undefined {
  if (value === holder) return [];
  if (typeof value !== 'object' || value === null || seen.has(value)) return undefined;
  seen.add(value);
  for (const [name, item] of Object.entries(value)) {
    const names = namesTo(item, holder, seen);
    if (names !== undefined) return [name, ...names];
  }
  return undefined;
}

function show(names: readonly unknown[]): string {
  const parts = names.map((name) => {
    const text = String(name);
    if (/^\d{1,10}$/.test(text)) return `[${text}]`;
    return FIELD.test(text) ? `.${text}` : '[…]';
  });
  const path = parts.join('');
  if (path === '') return 'the top';
  return path.startsWith('.') ? path.slice(1) : path;
}
