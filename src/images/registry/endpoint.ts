/** How a host's TLS is checked, and who we are to it. Paths of PEM files. */
export interface TlsFiles {
  readonly ca: readonly string[];
  /** A key of "" lies in the file of the certificate. */
  readonly clients: readonly { readonly cert: string; readonly key: string }[];
  readonly skipVerify: boolean;
}

export const plainTls: TlsFiles = { ca: [], clients: [], skipVerify: false };

/** A place that may have an image: a mirror, or the registry itself. */
export interface Endpoint {
  /** "https://host:port". */
  readonly origin: string;
  /** Another origin for a host that turns out not to speak TLS; undefined: none. */
  readonly fallback?: string | undefined;
  /** "host[:port]", which credentials and sentences name. */
  readonly host: string;
  /** What comes before the repository: "/v2". */
  readonly base: string;
  /** The image's repository as this host knows it. */
  readonly repository: string;
  /** For a mirror of several registries: which one is meant (query `ns`). */
  readonly namespace?: string | undefined;
  /** May say what a tag means. */
  readonly canResolve: boolean;
  /** May serve what is asked for by digest. */
  readonly canPull: boolean;
  readonly tls: TlsFiles;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  /** Undefined: the default. */
  readonly dialMs?: number | undefined;
  /** A proxy of its own, whatever the environment says. May hold a password. */
  readonly proxy?: string | undefined;
  /** The registry itself, not a mirror: the call's credentials are meant for it. */
  readonly primary: boolean;
}

/** 127.0.0.0/8, ::1 and localhost: may be spoken to without TLS. */
export function isLoopback(host: string): boolean {
  const name = host
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}

export function portOf(host: string): string {
  return /:(\d+)$/.exec(host)?.[1] ?? '';
}

type Scheme = Pick<Endpoint, 'origin' | 'fallback'>;

/** TLS, unless the owner listed the host as plain; loopback hosts with a port may have either. */
export function schemeOf(host: string, plainHttp: readonly string[]): Scheme & { readonly unverified: boolean } {
  const plain = { origin: `http://${host}`, unverified: false };
  if (plainHttp.includes(host)) return plain;
  const port = portOf(host);
  if (!isLoopback(host)) return { origin: `https://${host}`, unverified: false };
  if (port === '80') return plain;
  // Nobody else can answer on loopback, and a certificate for it is rare: as containerd does.
  return { ...secureFirst(host, port !== '' && port !== '443'), unverified: true };
}

/** TLS first, then without if that is allowed. */
export function secureFirst(host: string, mayFallBack: boolean): Scheme {
  return { origin: `https://${host}`, fallback: mayFallBack ? `http://${host}` : undefined };
}
