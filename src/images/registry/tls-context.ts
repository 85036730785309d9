import { X509Certificate } from 'node:crypto';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { BerthError, messageOf } from '#base/errors';
import type { TlsFiles } from './endpoint.ts';
import { OwnerFiles } from './owner-files.ts';

/** What is in the files of one host. */
export interface Pems {
  readonly ca: readonly string[];
  readonly cert: readonly string[];
  readonly key: readonly string[];
}

export const emptyPems: Pems = { ca: [], cert: [], key: [] };

/** Reads the owner's certificates, again when they have changed. */
export class PemFiles {
  readonly #files = new OwnerFiles((text) => text);

  /** @throws CONFIG_INVALID for a file that is not there */
  async read(tls: TlsFiles): Promise<Pems> {
    const ca = await Promise.all(tls.ca.map((file) => this.#pem(file)));
    const cert = await Promise.all(tls.clients.map((client) => this.#pem(client.cert)));
    const key = await Promise.all(tls.clients.map((client) => this.#pem(client.key === '' ? client.cert : client.key)));
    return { ca, cert, key };
  }

  async #pem(file: string): Promise<string> {
    const text = await this.#files.read(file);
    if (text === undefined) throw new BerthError('CONFIG_INVALID', `certificate file ${file} does not exist`);
    return text;
  }
}

/**
 * Whom we believe and who we are. The machine's authorities count as well as those that Node brings, and each certificate
 * of `ca`, whatever it is: an authority, one between, or the host's own.
 *
 * @throws CONFIG_INVALID
 */
export function secureContextOf(pems: Pems, files: Pick<TlsFiles, 'ca' | 'clients'>): SecureContext {
  const named = pems.ca.flatMap((text, index) => certificatesOf(text, files.ca[index] ?? ''));
  try {
    return createSecureContext({
      ca: [...getCACertificates('default'), ...getCACertificates('system'), ...named],
      cert: [...pems.cert],
      key: [...pems.key],
      minVersion: 'TLSv1.2',
      // Else only a chain that ends in a certificate signed by itself would be believed.
      allowPartialTrustChain: true,
    });
  } catch (error) {
    const names = [...files.ca, ...files.clients.map(({ cert }) => cert)].join(', ');
    throw new BerthError('CONFIG_INVALID', `certificates cannot be used (${names}): ${messageOf(error)}`, {
      cause: error,
    });
  }
}

const blocks = /-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]+-----END \1-----/g;
const labels = ['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE'];

/** Node would leave out what it cannot read, and all that comes after it, without a word. */
function certificatesOf(text: string, file: string): readonly string[] {
  const found = [...text.matchAll(blocks)].filter(([, label = '']) => labels.includes(label)).map(([block]) => block);
  if (found.length === 0) {
    const der = text.startsWith('0\ufffd') ? ': it looks like DER, openssl x509 -inform der makes PEM of it' : '';
    throw new BerthError('CONFIG_INVALID', `${file} has no certificate in PEM${der}`);
  }
  for (const [index, block] of found.entries()) {
    try {
      new X509Certificate(block);
    } catch (error) {
      throw new BerthError('CONFIG_INVALID', `certificate ${index + 1} of ${file} cannot be read`, { cause: error });
    }
  }
  return found;
}
