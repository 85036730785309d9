import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { output } from './command.ts';

// An authority of the test's own, made by openssl at run time: no key is ever in the repository.

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export class Authority {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Its certificate, for those who shall trust it. */
  get cert(): string {
    return path.join(this.directory, 'ca.crt');
  }

  static async create(directory: string): Promise<Authority> {
    mkdirSync(directory, { recursive: true });
    const authority = new Authority(directory);
    const subject = ['-subj', '/CN=Berth test authority', '-days', '30'];
    const key = path.join(directory, 'ca.key');
    await output(['openssl', 'req', '-x509', ...newKey(key), ...subject, '-out', authority.cert]);
    return authority;
  }

  /** Files `name`.crt and `name`.key, for servers (of these host names and addresses) and clients alike. */
  async issue(name: string, hosts: readonly string[]): Promise<KeyPair> {
    const file = (extension: string): string => path.join(this.directory, `${name}.${extension}`);
    const names = hosts.map((host) => (/^[0-9.]+$|:/.test(host) ? `IP:${host}` : `DNS:${host}`));
    const extensions = [
      'basicConstraints=CA:FALSE',
      ...(names.length > 0 ? [`subjectAltName=${names.join(',')}`] : []),
    ];
    writeFileSync(file('ext'), `${extensions.join('\n')}\n`);
    await output(['openssl', 'req', ...newKey(file('key')), '-subj', `/CN=${name}`, '-out', file('csr')]);
    const by = ['-CA', this.cert, '-CAkey', path.join(this.directory, 'ca.key'), '-CAcreateserial'];
    const what = ['-in', file('csr'), '-out', file('crt'), '-extfile', file('ext'), '-days', '30'];
    await output(['openssl', 'x509', '-req', ...what, ...by]);
    return { cert: file('crt'), key: file('key') };
  }
}

/** RSA, because the registry's tokens are signed with these keys too. */
function newKey(file: string): string[] {
  return ['-newkey', 'rsa:2048', '-nodes', '-keyout', file];
}
