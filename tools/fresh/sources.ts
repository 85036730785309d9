/** Where the machine gets Debian packages from, as lines of `apt-get indextargets --format '$(REPO_URI) $(RELEASE)'`. */
export interface Mirrors {
  readonly main: string;
  readonly security: string | undefined;
}

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Undefined when apt is not configured for a Debian archive of this code name. */
export function mirrorsOf(targets: string, codename: string): Mirrors | undefined {
  const uriOf = new Map<string, string>();
  for (const line of targets.split('\n')) {
    const [uri, release] = line.trim().split(' ');
    if (uri !== undefined && release !== undefined && !uriOf.has(release)) uriOf.set(release, uri);
  }
  const main = uriOf.get(codename);
  return main === undefined ? undefined : { main, security: uriOf.get(`${codename}-security`) };
}

/** The sources.list of a root of `release`, with all updates. */
export function sourcesList({ main, security }: Mirrors, release: string): string {
  const entries = [`${main} ${release}`, `${main} ${release}-updates`];
  if (security !== undefined) entries.push(`${security} ${release}-security`);
  return entries.map((entry) => `deb [signed-by=${keyring}] ${entry} main\n`).join('');
}

/** What of `apt-config dump` says how archives are reached (proxies, certificates, clocks), as a file of apt.conf.d. */
export function reachSettings(dump: string): string {
  const reach = /^Acquire::(Check-Date|Check-Valid-Until|Retries|[a-z]+::(?!.*"";$)(Proxy|Verify|CaInfo|Timeout)\b)/i;
  return dump
    .split('\n')
    .filter((line) => reach.test(line))
    .map((line) => `${line}\n`)
    .join('');
}
