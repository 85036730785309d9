import { BerthError } from '#base/errors';

/** What a name without a registry means. Part of the grammar that every client of the field writes; no host we contact. */
export const defaultDomain = 'docker.io';
const defaultNamespace = 'library';
const oldDefaultDomain = `index.${defaultDomain}`;
/** Who speaks the protocol for the default domain, which itself does not. */
const defaultDomainServer = `registry-1.${defaultDomain}`;

const maxNameLength = 255;
const maxTextLength = 4096;

const pathPart = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const domainLabel = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
/** Those of go-digest, which all others of the field use. */
const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/;

/** A full image name: everything a short form left out is filled in. */
export interface Reference {
  readonly domain: string;
  /** "library/busybox" */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

/**
 * Reads an image name in any of the forms people write: busybox, busybox:1.36, localhost/app, host:5000/a/b@sha256:….
 * Neither tag nor digest means the tag latest.
 *
 * @throws INVALID_ARGUMENT
 */
export function parseReference(text: string): Reference {
  if (text.length > maxTextLength) throw invalid(`${text.slice(0, 64)}…`, `is longer than ${maxTextLength} characters`);
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest))
    throw invalid(text, 'has a digest that is not sha256:<64 digits>, or sha384 or sha512 with theirs');
  const named = at < 0 ? text : text.slice(0, at);
  // A colon after the last slash starts a tag; before it, a port.
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  if (tag !== undefined && !tagPattern.test(tag)) throw invalid(text, 'has a tag that is not allowed');
  const { domain, path } = splitName(colon < 0 ? named : named.slice(0, colon));
  if (!isDomain(domain)) throw invalid(text, `has a registry name that is not allowed: ${domain}`);
  if (!path.split('/').every((part) => pathPart.test(part))) {
    throw invalid(text, 'may have lower-case letters, digits and single separators between slashes, nothing else');
  }
  if (domain.length + 1 + path.length > maxNameLength)
    throw invalid(text, `is longer than ${maxNameLength} characters`);
  return {
    domain,
    path,
    ...(digest === undefined ? { tag: tag ?? 'latest' } : { digest, ...(tag !== undefined && { tag }) }),
  };
}

/** Without tag and digest: "docker.io/library/busybox". */
export function repositoryOf(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/** "name:tag", or undefined for a name that only has a digest. */
export function repoTagOf(reference: Reference): string | undefined {
  return reference.tag === undefined ? undefined : `${repositoryOf(reference)}:${reference.tag}`;
}

/** "name@digest", or undefined. */
export function repoDigestOf(reference: Reference): string | undefined {
  return reference.digest === undefined ? undefined : `${repositoryOf(reference)}@${reference.digest}`;
}

/** "host[:port]" that answers for a domain of image names. */
export function serverOf(domain: string): string {
  return domain === defaultDomain ? defaultDomainServer : domain;
}

/**
 * The domain that an address in a credential means: "https://host:5000/v2/", "host:5000" and the default domain's old
 * names.
 */
export function registryOfAddress(address: string): string {
  const host = address
    .trim()
    .replace(/^https?:\/\//i, '')
    .replace(/[/?#].*$/, '')
    .toLowerCase()
    .replace(/:443$/, '');
  return host === oldDefaultDomain || host === defaultDomainServer ? defaultDomain : host;
}

export function isDigest(text: string): boolean {
  return digestPattern.test(text);
}

function splitName(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  // The first part is a registry if it could not be anything else: it has a dot, a port, capitals, or is localhost.
  const isRegistry = first === 'localhost' || /[.:[\]A-Z]/.test(first);
  const domain = isRegistry ? first : defaultDomain;
  const path = isRegistry ? name.slice(slash + 1) : name;
  if (domain !== defaultDomain && domain !== oldDefaultDomain) return { domain, path };
  return { domain: defaultDomain, path: path.includes('/') ? path : `${defaultNamespace}/${path}` };
}

function isDomain(text: string): boolean {
  const match = /^(\[[0-9a-fA-F:]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  if (match?.[1] === undefined) return false;
  if (match[2] !== undefined && Number(match[2]) > 65535) return false;
  return match[1].startsWith('[') || match[1].split('.').every((label) => domainLabel.test(label));
}

function invalid(text: string, why: string): BerthError {
  return new BerthError('INVALID_ARGUMENT', `image name ${JSON.stringify(text)} ${why}`);
}
