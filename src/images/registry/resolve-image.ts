import { Deadline } from '#base/deadline';
import { BerthError, isBerthError } from '#base/errors';
import { digestLike, digestOf, parseConfig, type ParsedConfig } from '../config.ts';
import { knownImageFields } from '../image-fields.ts';
import { rankOf, type Platform } from '../platform.ts';
import { isDigest, repositoryOf, type Reference } from '../reference.ts';
import { maxDocumentBytes, parseUntrusted, type UntrustedObject } from '../untrusted.ts';
import { withEndpoints, type Call } from './attempts.ts';
import { codingError } from './content-coding.ts';
import type { Endpoint } from './endpoint.ts';
import { drop, headerOf, readBody, type Answer } from './follow.ts';
import {
  acceptedTypes,
  artifact,
  configOf,
  descriptorOf,
  entriesFor,
  layersOf,
  parseDocument,
  type Descriptor,
  type IndexEntry,
} from './manifest.ts';
import type { RemoteImage, RemoteRequest } from './registry.ts';
import { Setback, toSetback } from './setback.ts';
import { shownUrl } from './shown-url.ts';
import type { Source } from './source.ts';

const maxNesting = 3;
/** Of all indexes and manifests read for one name. */
const maxDocuments = 16;
/** A document may take this many times as long as a host may be silent. */
const documentPatience = 4;

/** What of a request is not the source's. */
export interface WantedImage {
  readonly platform: Platform;
  readonly knownConfig?: RemoteRequest['knownConfig'] | undefined;
}

type Resolved = Omit<RemoteImage, 'session'>;

/** Index, manifest, config, layers: each document is what its digest says, and no larger than allowed. */
export async function resolveImage(call: Call, source: Source, wanted: WantedImage): Promise<Resolved> {
  return await new Walk(call, source, wanted).image();
}

interface Found {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly contentType: string;
}

/** One document as it is asked for. */
interface Wanted {
  readonly path: string;
  readonly what: string;
  readonly endpoints: readonly Endpoint[];
  /** Undefined for a tag. */
  readonly digest?: string | undefined;
  readonly size?: number;
  readonly accept?: string;
}

interface Read extends Found {
  readonly kind: 'index' | 'manifest';
  readonly unknownFields: number;
}

type Chain = readonly Read[];
/** What of the descriptor that led to a document is asked for. */
type Above = Pick<IndexEntry, 'mediaType' | 'named'>;

class Walk {
  readonly #call: Call;
  readonly #source: Source;
  readonly #platform: Platform;
  /** The one that is here, and then the one read last. */
  #knownConfig: Uint8Array | undefined;
  readonly #name: string;
  #documents = 0;

  constructor(call: Call, source: Source, { platform, knownConfig }: WantedImage) {
    this.#call = call;
    this.#source = source;
    this.#platform = platform;
    this.#knownConfig = knownConfig;
    this.#name = nameOf(source.reference);
  }

  async image(): Promise<Resolved> {
    const { tag, digest } = this.#source.reference;
    const outermost = await this.#manifest({
      path: `/manifests/${digest ?? tag ?? ''}`,
      what: this.#name,
      digest,
      endpoints: this.#endpoints(digest === undefined ? 'canResolve' : 'canPull'),
    });
    const chain = await this.#descend(outermost, { mediaType: '', named: true }, []);
    const manifest = chain?.at(-1);
    if (!chain || !manifest) {
      const { os, architecture, variant } = this.#platform;
      const level = variant === undefined ? '' : ` (up to ${variant})`;
      throw new BerthError('NOT_FOUND', `${this.#name} has no image for ${os}/${architecture}${level}`);
    }
    const root = this.#parse(manifest, '').root;
    const descriptor = configOf(root);
    const layers = layersOf(root);
    const config = await this.#config(descriptor);
    const { diffIds } = configIn(root, config, descriptor.called);
    if (diffIds.length !== layers.length) {
      const why = `has ${layers.length} layers where its config has ${diffIds.length}`;
      throw new BerthError('IMAGE_INVALID', `manifest ${manifest.digest} ${why}`);
    }
    return {
      ...{ manifestDigest: outermost.digest, manifests: chain.map(({ bytes }) => bytes), config, layers },
      unknownFields: { manifest: unknownIn(chain, 'manifest'), index: unknownIn(chain, 'index') },
    };
  }

  /** The documents from this one to the manifest for the platform; undefined: it has none. */
  async #descend(found: Found, { mediaType, named }: Above, above: Chain): Promise<Chain | undefined> {
    const { kind, root } = this.#parse(found, mediaType);
    const chain = [...above, { ...found, kind, unknownFields: root.countUnknown(knownImageFields[kind]) }];
    if (kind === 'manifest') return named || (await this.#isForUs(root)) ? chain : undefined;
    if (chain.length > maxNesting) {
      throw new BerthError('IMAGE_INVALID', `${this.#name} has indexes nested more than ${maxNesting} deep`);
    }
    for (const entry of entriesFor(root, this.#platform)) {
      const next = await this.#manifest({
        path: `/manifests/${entry.digest}`,
        what: `${this.#name}: manifest ${entry.digest}`,
        endpoints: this.#endpoints('canPull'),
        ...entry,
      });
      const inner = await this.#descend(next, entry, chain);
      if (inner) return inner;
    }
    return undefined;
  }

  /** Of a manifest whose entry names no platform: its config does. What is no image there is for nobody. */
  async #isForUs(root: UntrustedObject): Promise<boolean> {
    const descriptor = root.object('config');
    if (!descriptor) return false;
    const config = await this.#config(descriptorOf(descriptor));
    try {
      return rankOf(parseUntrusted(config, `config ${digestOf(config)}`), this.#platform) !== undefined;
    } catch (error) {
      if (isBerthError(error, 'IMAGE_INVALID')) return false;
      throw error;
    }
  }

  #parse(found: Found, descriptorType: string): ReturnType<typeof parseDocument> {
    const { bytes, digest, contentType } = found;
    return parseDocument(bytes, `manifest ${digest}`, { descriptorType, contentType });
  }

  async #manifest(wanted: Wanted): Promise<Found> {
    this.#documents += 1;
    if (this.#documents > maxDocuments) {
      throw new BerthError('IMAGE_INVALID', `${this.#name} has more than ${maxDocuments} manifests to look through`);
    }
    return await this.#document({ ...wanted, accept: acceptedTypes });
  }

  async #config({ digest, size }: Descriptor): Promise<Uint8Array> {
    const known = this.#knownConfig;
    if (known?.length === size && digestLike(digest, known) === digest) return known;
    const what = `${this.#name}: config ${digest}`;
    const endpoints = this.#endpoints('canPull');
    const { bytes } = await this.#document({ path: `/blobs/${digest}`, what, endpoints, digest, size });
    this.#knownConfig = bytes;
    return bytes;
  }

  async #document(wanted: Wanted): Promise<Found> {
    const { what, endpoints } = wanted;
    if (wanted.size !== undefined && wanted.size > maxDocumentBytes) throw tooLarge(what);
    const { attempts } = this.#source.config;
    const { backOffMs } = this.#source;
    return await withEndpoints(this.#call, { endpoints, attempts, what, backOffMs }, (endpoint) =>
      this.#fetch(endpoint, wanted),
    );
  }

  async #fetch(endpoint: Endpoint, wanted: Wanted): Promise<Found> {
    const { path, what, accept } = wanted;
    const silentMs = this.#source.config.stallMs;
    // Stands for the host's silence as well: a byte now and then is not an answer.
    using patience = new Deadline(silentMs * documentPatience, what, this.#call.signal);
    try {
      const login = await this.#source.login(endpoint);
      const headers = accept === undefined ? {} : { accept };
      const answer = await this.#source.exchange.get({
        ...{ endpoint, path, what, headers, login, silentMs, signal: patience.signal },
        ...{ byDigest: wanted.digest !== undefined, plainHttp: this.#source.config.plainHttp },
      });
      return await checked(answer, wanted);
    } catch (error) {
      this.#call.signal.throwIfAborted();
      const slow = patience.signal.aborted;
      throw slow ? new Setback(patience.signal.reason as BerthError, true) : toSetback(error, what, endpoint.host);
    }
  }

  #endpoints(may: 'canResolve' | 'canPull'): readonly Endpoint[] {
    return this.#source.endpoints.filter((endpoint) => endpoint[may]);
  }
}

/** @throws IMAGE_INVALID, and for a config that is called something else because the manifest is an artifact */
function configIn(root: UntrustedObject, config: Uint8Array, called: 'image' | 'other'): ParsedConfig {
  try {
    const parsed = parseConfig(config, digestOf(config));
    if (called === 'image' || parsed.diffIds.length > 0) return parsed;
  } catch (error) {
    if (called === 'image') throw error;
    throw artifact(root, error);
  }
  throw artifact(root);
}

function unknownIn(chain: Chain, kind: Read['kind']): number {
  return chain.reduce((sum, document) => sum + (document.kind === kind ? document.unknownFields : 0), 0);
}

async function checked(answer: Answer, wanted: Wanted): Promise<Found> {
  const { what } = wanted;
  const shown = shownUrl(answer.url);
  const announced = Number(headerOf(answer, 'content-length') ?? 0);
  if (announced > maxDocumentBytes) {
    drop(answer);
    throw tooLarge(what);
  }
  const bytes = await readBody(answer, wanted.size ?? maxDocumentBytes);
  try {
    return compared(bytes, answer, wanted, shown);
  } catch (error) {
    // What was coded on the way is another document: say the cause, not its consequence.
    throw isBerthError(error) ? (codingError(answer, `${what} from ${shown}`) ?? error) : error;
  }
}

function compared(bytes: Buffer | undefined, answer: Answer, wanted: Wanted, shown: string): Found {
  const { what } = wanted;
  if (!bytes)
    throw wanted.size === undefined ? tooLarge(what) : wrong(what, shown, `is longer than ${wanted.size} bytes`);
  if (wanted.size !== undefined && bytes.length !== wanted.size) {
    throw wrong(what, shown, `has ${bytes.length} bytes, not ${wanted.size}`);
  }
  const named = headerOf(answer, 'docker-content-digest') ?? '';
  // A tag has no digest of its own: it is called by the algorithm that its registry uses.
  const expected = wanted.digest ?? (isDigest(named) ? named : undefined);
  const digest = expected === undefined ? digestOf(bytes) : digestLike(expected, bytes);
  if (expected !== undefined && digest !== expected) {
    throw wrong(what, shown, `is ${digest}${wanted.digest === undefined ? ', not what its header says' : ''}`);
  }
  const contentType = headerOf(answer, 'content-type') ?? '';
  if (wanted.digest === undefined && !startsAsJson(bytes)) throw noDocument(answer, what, shown, contentType);
  return { bytes, digest, contentType };
}

function startsAsJson(bytes: Buffer): boolean {
  return /^\s*\{/.test(bytes.subarray(0, 256).toString('latin1'));
}

/** A page to log in at, an error of a gateway with status 200. */
function noDocument(answer: Answer, what: string, shown: string, contentType: string): BerthError {
  const type = JSON.stringify(contentType.slice(0, 64));
  const why = `answered with something of type ${type} that is no manifest: is it a registry, or a gateway before it?`;
  return codingError(answer, `${what} from ${shown}`) ?? new BerthError('IMAGE_INVALID', `${what}: ${shown}: ${why}`);
}

function tooLarge(what: string): BerthError {
  return new BerthError('IMAGE_INVALID', `${what} is larger than ${maxDocumentBytes} bytes`);
}

function wrong(what: string, shown: string, why: string): BerthError {
  return new BerthError('IMAGE_INVALID', `${what} from ${shown} ${why}`);
}

function nameOf(reference: Reference): string {
  const end = reference.digest === undefined ? `:${reference.tag ?? ''}` : `@${reference.digest}`;
  return `${repositoryOf(reference)}${end}`;
}
