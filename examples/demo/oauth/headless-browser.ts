const MOST_REDIRECTS = 10;

/**
 * Follows redirects and keeps cookies, as the browser of a user would, until it is sent to a URL that begins with `destination`.
 * Returns that URL without visiting it.
 */
export async function browseUntil(destination: string, start: URL): Promise<URL> {
  const cookies = new Map<string, string>();
  let url = start;
  for (let step = 0; step < MOST_REDIRECTS; step += 1) {
    const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } });
    await response.body?.cancel();
    const location = response.headers.get('location');
    if (location === null) throw new Error(`the login ended with HTTP ${response.status}`);
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (name !== undefined && value !== undefined) cookies.set(name, value);
    }
    url = new URL(location, url);
    if (url.href.startsWith(destination)) return url;
  }
  throw new Error(`the login was redirected more than ${MOST_REDIRECTS} times`);
}
