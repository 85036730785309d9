// What went wrong between us and a host, in words of ours: messages of libraries may quote URLs or headers.

/** One address of a host, and why nothing could be said to it. */
export interface AddressFailure {
  readonly address: string;
  readonly code: string;
}

/** No address of a host could be connected to. */
export class Unreached extends Error {
  readonly code: string;
  readonly failures: readonly AddressFailure[];

  constructor(code: string, failures: readonly AddressFailure[]) {
    super(`no address answered: ${code}`);
    this.code = code;
    this.failures = failures;
  }
}

/** It is the proxy that failed, not the host behind it. Has no code, so that nobody takes it for the host's. */
export class ProxyFailure extends Error {
  /** "the proxy http://… (HTTPS_PROXY)". */
  readonly proxy: string;
  /** What it said; undefined: the cause tells. */
  readonly said: string | undefined;
  readonly lasting: boolean;

  constructor(proxy: string, why: { readonly said?: string; readonly lasting?: boolean; readonly cause?: unknown }) {
    super('the proxy failed', { cause: why.cause });
    this.proxy = proxy;
    this.said = why.said;
    this.lasting = why.lasting ?? false;
  }
}

/** The request of a redirect, or the first, got no answer. */
export class FailedHop extends Error {
  readonly url: URL;

  constructor(url: URL, cause: unknown) {
    super('no answer', { cause });
    this.url = url;
  }
}

const unknownAuthority = 'its certificate is signed by an unknown authority: configure its ca';

const refusedHandshake = 'it refused the handshake: it may want a certificate of ours (client), or other ciphers';

const sentences: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection broken',
  EPIPE: 'connection broken',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the host name could not be looked up',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'connection timed out',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'no data in time',
  UND_ERR_SOCKET: 'connection broken',
  UND_ERR_HEADERS_OVERFLOW: 'its headers are larger than 16 KiB',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself: configure its ca',
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  CERT_HAS_EXPIRED: 'its certificate, or one that signed it, has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: compare the clocks',
  CERT_SIGNATURE_FAILURE: 'its certificate has a signature that is wrong',
  CERT_REVOKED: 'its certificate is revoked',
  CERT_REJECTED: 'its certificate is not for this use',
  CERT_UNTRUSTED: 'its certificate is not for this use',
  INVALID_PURPOSE: 'its certificate is not one for servers',
  INVALID_CA: 'its certificate is signed by one that may not sign others',
  PATH_LENGTH_EXCEEDED: 'its chain of certificates is longer than its authority allows',
  EE_KEY_TOO_SMALL: 'the key of its certificate is too short',
  CA_KEY_TOO_SMALL: 'the key of its authority is too short',
  CA_MD_TOO_WEAK: 'its certificate is signed with a hash that is too weak',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'it wants a certificate of ours: configure client',
  // OpenSSL 3 says "ssl/tls" where it said "sslv3".
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE': refusedHandshake,
  'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE': 'it did not take the certificate of client',
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: refusedHandshake,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'it did not take the certificate of client',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'it does not know who signed the certificate of client',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'it speaks no TLS 1.2',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it speaks no TLS 1.2',
  ERR_SSL_TLSV1_UNRECOGNIZED_NAME: 'it has no certificate for the name it was asked by',
  EPROTO: 'it does not speak TLS, or not ours',
};

function sentenceOfCode(code: string): string {
  const known = sentences[code] ?? (code.startsWith('ERR_SSL') ? sentences['EPROTO'] : undefined);
  return known ?? `the request failed (${code})`;
}

const maxAddresses = 4;

/** What happened to a connection. */
export function networkSentence(error: unknown): string {
  const failure = inChain(error, (one) => one instanceof ProxyFailure);
  if (!failure) return ownSentence(error);
  return `${failure.proxy}: ${failure.said ?? ownSentence(failure.cause)}`;
}

function ownSentence(error: unknown): string {
  const code = networkCode(error);
  if (code === undefined) return 'the request failed';
  const sentence = sentenceOfCode(code);
  const failures = inChain(error, (one) => one instanceof Unreached)?.failures ?? [];
  if (failures.length < 2) return `${sentence}${code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? namesIn(error) : ''}`;
  const shown = failures.slice(0, maxAddresses).map((one) => `${one.address}: ${sentenceOfCode(one.code)}`);
  const more = failures.length > maxAddresses ? ', …' : '';
  return `${sentence} (${shown.join(', ')}${more})`;
}

const maxNames = 200;

/** The names that a certificate is for, as far as they look like names. */
function namesIn(error: unknown): string {
  const withCertificate = inChain(error, (one): one is { readonly cert: unknown } => isObject(one) && 'cert' in one);
  const cert = withCertificate?.cert;
  if (!isObject(cert)) return '';
  const alt = 'subjectaltname' in cert ? cert.subjectaltname : undefined;
  if (typeof alt !== 'string') return ': it has no subjectAltName';
  const names = alt
    .split(/, ?/)
    .map((one) => /^(?:DNS|IP Address):([\w.*:-]{1,100})$/.exec(one)?.[1])
    .filter((name) => name !== undefined);
  const text = names.join(', ');
  return text === '' ? '' : `: it is for ${text.length > maxNames ? `${text.slice(0, maxNames)}…` : text}`;
}

/** The most telling code in a chain of causes: that of the socket below what the HTTP client made of it. */
export function networkCode(error: unknown): string | undefined {
  let code: string | undefined;
  for (const one of chainOf(error)) {
    const own: unknown = 'code' in one ? one.code : undefined;
    if (typeof own === 'string' && /^[A-Z][A-Z0-9_/]{1,60}$/.test(own)) code = own;
  }
  return code;
}

/** Certificates and names do not mend by themselves in the seconds a retry waits. */
export function isLasting(error: unknown): boolean {
  if (inChain(error, (one) => one instanceof ProxyFailure)?.lasting) return true;
  const code = networkCode(error) ?? '';
  return /CERT|SIGNATURE|^ENOTFOUND$|ALTNAME|INVALID_(CA|PURPOSE)|TOO_(SMALL|WEAK)|HANDSHAKE|UNKNOWN_CA|PROTOCOL|UNRECOGNIZED/.test(
    code,
  );
}

/** It failed as connections fail to hosts that do not speak TLS, or not on this port. An alert is spoken TLS. */
export function speaksNoTls(error: unknown): boolean {
  if (inChain(error, (one) => one instanceof ProxyFailure)) return false;
  const code = networkCode(error) ?? '';
  return /^(EPROTO|ERR_SSL_.*|ECONNRESET|ECONNREFUSED|UND_ERR_SOCKET)$/.test(code) && !/ALERT|CERTIFICATE/.test(code);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

const maxDepth = 6;

/** The error and its causes; of several at once the first. */
function chainOf(error: unknown): readonly object[] {
  const chain: object[] = [];
  let current: unknown = error;
  while (chain.length < maxDepth && isObject(current)) {
    chain.push(current);
    const list: unknown = 'errors' in current ? current.errors : undefined;
    const first: unknown = Array.isArray(list) ? list[0] : undefined;
    current = first ?? ('cause' in current ? current.cause : undefined);
  }
  return chain;
}

function inChain<T extends object>(error: unknown, is: (one: object) => one is T): T | undefined {
  return chainOf(error).find(is);
}
