import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { BerthError, errnoOf, messageOf } from '#base/errors';
import type { RegistryConfig } from '#config/slices';
import type { TlsFiles } from './endpoint.ts';
import { registriesConfFiles } from './endpoints.ts';
import { parseHostsToml } from './hosts-toml.ts';
import { OwnerFiles, sentenceOf } from './owner-files.ts';
import { parseRegistriesConf } from './registries-conf.ts';
import { PemFiles, secureContextOf } from './tls-context.ts';

export interface CheckedFiles {
  /** What was read, but for certificates. */
  readonly files: readonly string[];
  /** What fails the pulls that need it: each names its file. */
  readonly mistakes: readonly string[];
  /** What is passed over: each names its file. */
  readonly warnings: readonly string[];
}

/** Reads every hosts.toml with the certificates it names, and registries.conf, as a pull would that needs them. */
export async function checkRegistryFiles(config: RegistryConfig): Promise<CheckedFiles> {
  const check = new Check();
  for (const root of config.hostsDirectories.filter((one) => one !== '')) {
    await check.attempt(() => check.hostsDirectory(root));
  }
  await check.attempt(() => check.registriesConf(config));
  return check;
}

class Check implements CheckedFiles {
  readonly files: string[] = [];
  readonly mistakes: string[] = [];
  readonly warnings: string[] = [];
  readonly #hosts = new OwnerFiles(parseHostsToml);
  readonly #rules = new OwnerFiles(parseRegistriesConf);
  readonly #pems = new PemFiles();

  async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      this.mistakes.push(error.message);
    }
  }

  async hostsDirectory(root: string): Promise<void> {
    for (const name of await namesIn(root)) {
      const file = path.join(root, name, 'hosts.toml');
      await this.attempt(async () => {
        const said = await this.#read(this.#hosts, file);
        if (!said) return;
        for (const { tls } of [...said.hosts, said.server ?? said.rest])
          await this.attempt(() => this.#certificates(tls));
      });
    }
  }

  async registriesConf(config: RegistryConfig): Promise<void> {
    for (const file of await registriesConfFiles(config)) {
      await this.attempt(async () => {
        await this.#read(this.#rules, file);
      });
    }
  }

  async #read<T>(files: OwnerFiles<T>, file: string): Promise<T | undefined> {
    const said = await files.read(file, (found) => this.warnings.push(sentenceOf(found)));
    if (said !== undefined) this.files.push(file);
    return said;
  }

  async #certificates(tls: TlsFiles): Promise<void> {
    if (tls.ca.length === 0 && tls.clients.length === 0) return;
    secureContextOf(await this.#pems.read(tls), tls);
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return [];
    throw new BerthError('CONFIG_INVALID', `cannot read ${directory}: ${messageOf(error)}`, { cause: error });
  }
}
