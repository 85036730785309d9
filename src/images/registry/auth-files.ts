import { BerthError } from '#base/errors';
import { folded, JsonPairs, parseJsonPairs } from '../json-pairs.ts';
import { registryOfAddress } from '../reference.ts';
import { loginOf, type Login } from './credentials.ts';
import { OwnerFiles } from './owner-files.ts';

type Logins = ReadonlyMap<string, Login>;

const maxEntries = 4096;

/** Credentials in docker's config.json and containers-auth.json(5). Helpers, which are programs, are not run. */
export class AuthFiles {
  readonly #files = new OwnerFiles(parseAuthFile);

  /**
   * What the first file that knows the host (or a namespace of it, the longest first) says.
   *
   * @param host "host[:port]"
   * @throws CONFIG_INVALID
   */
  async find(files: readonly string[], host: string, repository: string): Promise<Login | undefined> {
    for (const file of files) {
      const logins = await this.#files.read(file);
      if (!logins) continue;
      for (const key of keysOf(registryOfAddress(host), repository)) {
        const login = logins.get(key);
        if (login) return login;
      }
    }
    return undefined;
  }
}

/** "host/a/b", "host/a", "host". */
function* keysOf(domain: string, repository: string): Generator<string> {
  const parts = repository.split('/');
  for (let count = parts.length; count > 0; count -= 1) yield `${domain}/${parts.slice(0, count).join('/')}`;
  yield domain;
}

/** @throws CONFIG_INVALID, never with what the file holds */
export function parseAuthFile(text: string, file: string): Logins {
  let root: unknown;
  try {
    root = parseJsonPairs(text);
  } catch {
    throw new BerthError('CONFIG_INVALID', `${file} is not JSON`);
  }
  const entries = fieldsOf(root, 'auths').flatMap((auths) => (auths instanceof JsonPairs ? auths.pairs : []));
  if (entries.length > maxEntries) throw new BerthError('CONFIG_INVALID', `${file} has more than ${maxEntries} auths`);
  const logins = new Map<string, Login>();
  for (const [key, value] of entries) {
    const login = loginIn(value, `${file}: auths.${JSON.stringify(key)}`);
    if (login) logins.set(normalKey(key), login);
  }
  return logins;
}

function loginIn(entry: unknown, where: string): Login | undefined {
  try {
    return loginOf({
      username: textIn(entry, 'username'),
      password: textIn(entry, 'password'),
      auth: textIn(entry, 'auth'),
      identityToken: textIn(entry, 'identitytoken'),
      registryToken: textIn(entry, 'registrytoken'),
    });
  } catch (error) {
    throw new BerthError('CONFIG_INVALID', `${where} is no credential`, { cause: error });
  }
}

/** "https://host/v1/" is a host; "host/namespace" keeps its namespace. */
function normalKey(key: string): string {
  const bare = key
    .trim()
    .replace(/^https?:\/\//i, '')
    .replace(/\/+$/, '')
    .replace(/\/v[12]$/, '');
  const slash = bare.indexOf('/');
  return slash < 0 ? registryOfAddress(bare) : `${registryOfAddress(bare.slice(0, slash))}${bare.slice(slash)}`;
}

/** What an object has under a name, in the order of the file. Docker and the others read names in any case (Go). */
function fieldsOf(value: unknown, name: string): readonly unknown[] {
  return value instanceof JsonPairs ? value.pairs.flatMap(([key, inner]) => (folded(key) === name ? [inner] : [])) : [];
}

function textIn(entry: unknown, key: string): string {
  const value = fieldsOf(entry, key).at(-1);
  return typeof value === 'string' ? value : '';
}
