import { stat } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { BerthError, errnoOf } from '#base/errors';
import type { RegistryConfig } from '#config/slices';
import { repositoryOf, serverOf, type Reference } from '../reference.ts';
import { plainTls, schemeOf, secureFirst, type Endpoint, type TlsFiles } from './endpoint.ts';
import { parseHostsToml, type HostEntry, type HostsFile } from './hosts-toml.ts';
import { listFiles, OwnerFiles, type UnknownKeys } from './owner-files.ts';
import { parseRegistriesConf, rewrite, ruleFor, type RegistryRule } from './registries-conf.ts';

type Tell = (found: UnknownKeys) => void;

const fallbackName = '_default';

/**
 * Where an image is looked for, in order. Who says so, first to last: a hosts.toml for the registry, a [[registry]] of
 * registries.conf, `_default/hosts.toml`; without any, the registry of the name. What registries.conf blocks stays blocked.
 */
export class Endpoints {
  readonly #hosts = new OwnerFiles(parseHostsToml);
  readonly #rules = new OwnerFiles(parseRegistriesConf);

  /**
   * Reads what has changed since the last time.
   *
   * @param tell hears of unknown keys in what was read
   * @throws CONFIG_INVALID, PERMISSION_DENIED (blocked)
   */
  async find(config: RegistryConfig, reference: Reference, tell?: Tell): Promise<readonly Endpoint[]> {
    const rule = await this.#rule(config, reference, tell);
    if (rule?.blocked) {
      throw new BerthError(
        'PERMISSION_DENIED',
        `${repositoryOf(reference)} is blocked by [[registry]] ${rule.prefix} of ${config.registriesConf}`,
      );
    }
    const own = await this.#hostDirectory(config, directoryNames(reference.domain));
    if (own) return this.#fromDirectory(config, reference, own, tell);
    if (rule) return await this.#fromRule(config, reference, rule);
    const common = await this.#hostDirectory(config, [fallbackName]);
    if (common) return this.#fromDirectory(config, reference, common, tell);
    return [await this.#withCerts(config, registryItself(config, reference))];
  }

  async #hostDirectory(config: RegistryConfig, names: readonly string[]): Promise<string | undefined> {
    for (const root of config.hostsDirectories.filter((one) => one !== '')) {
      for (const name of names) {
        const directory = path.join(root, name);
        if (await isThere(directory)) return directory;
      }
    }
    return undefined;
  }

  async #fromDirectory(
    config: RegistryConfig,
    reference: Reference,
    directory: string,
    tell?: Tell,
  ): Promise<readonly Endpoint[]> {
    const file = await this.#hosts.read(path.join(directory, 'hosts.toml'), tell);
    // Without one it may have certificates, named as docker names them.
    if (!file) return [{ ...registryItself(config, reference), ...(await certificatesIn(directory)) }];
    return endpointsOf(config, reference, file);
  }

  async #rule(config: RegistryConfig, reference: Reference, tell?: Tell): Promise<RegistryRule | undefined> {
    const files = await registriesConfFiles(config);
    const rules: RegistryRule[] = [];
    for (const file of files) rules.push(...((await this.#rules.read(file, tell)) ?? []));
    const { tag, digest } = reference;
    const end = digest === undefined ? `:${tag ?? ''}` : `@${digest}`;
    return ruleFor(rules, `${repositoryOf(reference)}${end}`);
  }

  async #fromRule(config: RegistryConfig, reference: Reference, rule: RegistryRule): Promise<readonly Endpoint[]> {
    const name = repositoryOf(reference);
    const unwanted = reference.digest === undefined ? 'digest-only' : 'tag-only';
    const mirrors = rule.mirrors
      .filter((mirror) => mirror.pulls !== unwanted)
      .map((mirror) => placed(config, rewrite(name, rule.prefix, mirror.location), mirror.insecure, false));
    const itself = placed(config, rewrite(name, rule.prefix, rule.location), rule.insecure, true);
    return await Promise.all([...mirrors, itself].map((endpoint) => this.#withCerts(config, endpoint)));
  }

  /** certs.d beside registries.conf: containers-certs.d(5). */
  async #withCerts(config: RegistryConfig, endpoint: Endpoint): Promise<Endpoint> {
    if (config.registriesConf === '') return endpoint;
    const directory = path.join(path.dirname(config.registriesConf), 'certs.d', endpoint.host);
    return { ...endpoint, ...(await certificatesIn(directory, endpoint.tls)) };
  }
}

/** registries.conf and what is dropped in beside it, whether or not it is there. */
export async function registriesConfFiles({ registriesConf: main }: RegistryConfig): Promise<readonly string[]> {
  return main === '' ? [] : [main, ...((await listFiles(`${main}.d`, '.conf')) ?? [])];
}

/** The hosts of a hosts.toml, then the registry. */
function endpointsOf(config: RegistryConfig, reference: Reference, file: HostsFile): readonly Endpoint[] {
  const itself = registryItself(config, reference);
  const named = (host: HostEntry, primary: boolean): Endpoint => ({
    ...host,
    repository: reference.path,
    primary,
    // A mirror of several registries must be told which is meant.
    namespace: host.host === itself.host ? undefined : reference.domain,
  });
  const { skipVerify, ca } = file.rest.tls;
  const tls = { ...file.rest.tls, skipVerify: skipVerify || (ca.length === 0 && itself.tls.skipVerify) };
  const last = file.server ? named(file.server, true) : { ...itself, ...file.rest, tls };
  // A host that is the registry itself: the call's credentials are meant for it there as well.
  const hosts = file.hosts.map((host) => named(host, isSamePlace(host, last)));
  return hosts.some((host) => isSamePlace(host, last) && saysAsMuch(host, last)) ? hosts : [...hosts, last];
}

function isSamePlace(one: HostEntry, other: HostEntry): boolean {
  return one.origin === other.origin && one.fallback === other.fallback && one.base === other.base;
}

/** Whether `host` may do all that `last` may, and `last`, the same place, has no settings that `host` has not. */
function saysAsMuch(host: HostEntry, last: HostEntry): boolean {
  const adds = (['tls', 'headers', 'dialMs', 'proxy'] as const).some(
    (key) => !isDeepStrictEqual(last[key], unset[key]) && !isDeepStrictEqual(last[key], host[key]),
  );
  return !adds && (host.canResolve || !last.canResolve) && (host.canPull || !last.canPull);
}

const unset = { tls: plainTls, headers: {}, dialMs: undefined, proxy: undefined } as const;

/** Without any file of the owner. */
function registryItself(config: RegistryConfig, reference: Reference): Endpoint {
  const { domain, path: repository } = reference;
  const plain = config.plainHttp.includes(domain);
  const host = serverOf(domain);
  const { unverified, ...scheme } = schemeOf(host, plain ? [host] : config.plainHttp);
  return { ...common, ...scheme, host, repository, primary: true, tls: { ...plainTls, skipVerify: unverified } };
}

/** "host[:port]/path" of a registries.conf. */
function placed(config: RegistryConfig, name: string, insecure: boolean, primary: boolean): Endpoint {
  const slash = name.indexOf('/');
  const domain = slash < 0 ? name : name.slice(0, slash);
  const itself = { ...registryItself(config, { domain, path: name.slice(domain.length + 1) }), primary };
  if (!insecure || itself.origin.startsWith('http:')) return itself;
  return { ...itself, ...secureFirst(itself.host, true), tls: { ...itself.tls, skipVerify: true } };
}

const common = { base: '/v2', canResolve: true, canPull: true, headers: {} } as const;

/** containerd's two spellings of a name with a port. */
function directoryNames(domain: string): readonly string[] {
  const port = /^(.+):(\d+)$/.exec(domain);
  return port ? [`${port[1] ?? ''}_${port[2] ?? ''}_`, domain] : [domain];
}

/** `*.crt` are authorities, `x.cert` with `x.key` are ours. Nothing there: no change. */
async function certificatesIn(directory: string, before: TlsFiles = plainTls): Promise<{ readonly tls?: TlsFiles }> {
  const files = await listFiles(directory, '.crt', '.cert');
  if (files === undefined || files.length === 0) return {};
  const clients = files
    .filter((file) => file.endsWith('.cert'))
    .map((cert) => ({ cert, key: cert.replace(/\.cert$/, '.key') }));
  // An authority that the owner names is there to be asked, also on loopback.
  const ca = files.filter((file) => file.endsWith('.crt'));
  const skipVerify = ca.length === 0 && before.skipVerify;
  return { tls: { ca: [...before.ca, ...ca], clients: [...before.clients, ...clients], skipVerify } };
}

async function isThere(directory: string): Promise<boolean> {
  try {
    return (await stat(directory)).isDirectory();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return false;
    throw new BerthError('CONFIG_INVALID', `cannot read ${directory}`, { cause: error });
  }
}
