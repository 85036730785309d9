const maxShown = 256;

/**
 * A URL as errors and logs may show it: no user, no password, no query (signed links carry credentials there), no
 * fragment. The only way a URL gets into a sentence.
 */
export function shownUrl(url: string | URL): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return '(not a URL)';
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return `(a ${parsed.protocol} URL)`;
  const text = `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
}
