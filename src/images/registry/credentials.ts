import { createHash } from 'node:crypto';
import { BerthError } from '#base/errors';
import { registryOfAddress } from '../reference.ts';
import type { RegistryCredentials } from './registry.ts';

/** What a host is told about us. At most one way is filled in. */
export type Login =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'refresh'; readonly token: string }
  | { readonly kind: 'bearer'; readonly token: string };

/**
 * The call's credentials as they are meant, or undefined when they are empty.
 *
 * @throws INVALID_ARGUMENT
 */
export function loginOf(credentials: Omit<RegistryCredentials, 'serverAddress'>): Login | undefined {
  const { username, password, auth, identityToken, registryToken } = credentials;
  if (registryToken !== '') return { kind: 'bearer', token: checkedToken(registryToken, 'registry token') };
  if (identityToken !== '') return { kind: 'refresh', token: identityToken };
  if (username !== '' || password !== '') return { kind: 'basic', username, password };
  return auth === '' ? undefined : decodeAuth(auth);
}

/** Whether credentials for `serverAddress` may be shown to a registry: it is the one named, or none is named. */
export function isFor(serverAddress: string, domain: string): boolean {
  return serverAddress === '' || registryOfAddress(serverAddress) === registryOfAddress(domain);
}

/** "user:password" in base64, as docker writes it; some tools pad it with zero bytes. */
function decodeAuth(auth: string): Login {
  const text = auth.trim();
  const decoded = /^[A-Za-z0-9+/_-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64').toString('utf8') : '';
  const colon = decoded.indexOf(':');
  if (colon <= 0) throw new BerthError('INVALID_ARGUMENT', 'the credentials’ "auth" is not base64 of "user:password"');
  return {
    kind: 'basic',
    username: decoded.slice(0, colon),
    password: decoded.slice(colon + 1).replace(/\0+$/, ''),
  };
}

/** The value of an Authorization header. */
export function basicHeader(login: Extract<Login, { kind: 'basic' }>): string {
  return `Basic ${Buffer.from(`${login.username}:${login.password}`, 'utf8').toString('base64')}`;
}

/** @throws UNAUTHENTICATED for a token that would be more than one header value */
export function checkedToken(token: string, what: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new BerthError('UNAUTHENTICATED', `the ${what} has characters that no token has`);
}

/** Tells credentials apart in caches without keeping them. */
export function loginKey(login: Login | undefined): string {
  if (!login) return '';
  return createHash('sha256').update(JSON.stringify(login)).digest('hex');
}
