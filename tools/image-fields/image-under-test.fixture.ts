import { digestOf, parseConfig } from '#images/config';
import type { Platform } from '#images/platform';
import { ClientBench } from '#images/registry/client-bench.fixture';
import { RegistryDouble } from '#images/registry/registry-double.fixture';
import type { RemoteImage } from '#images/registry/registry';
import { withValue, type ImageDocument, type ImageField } from './fields.ts';

export type Document = Readonly<Record<string, unknown>>;

/** An image as its author would write it; what is left out is usual. */
export interface Written {
  readonly config?: Document;
  /** Instead of the one layer of other images. */
  readonly layers?: readonly Document[];
  /** Told apart by this: the variable MARK. */
  readonly mark?: string;
}

type Descriptor = {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
};

const types = {
  config: 'application/vnd.oci.image.config.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
} as const;

const layer = Buffer.from('layer');

/** Pulls images whose documents are changed in one field, from a registry on loopback, by the client that berthd has. */
export class ImageUnderTest implements AsyncDisposable {
  /** What the machine is. */
  readonly platform: Platform = { os: 'linux', architecture: 'amd64', variant: 'v3' };
  /** The field that all documents of its kind have this value in; undefined: it is not there. */
  changed: { readonly field: ImageField; readonly value: unknown } | undefined;
  readonly #bench: ClientBench;
  readonly #double: RegistryDouble;

  private constructor(bench: ClientBench, double: RegistryDouble) {
    this.#bench = bench;
    this.#double = double;
  }

  static async start(): Promise<ImageUnderTest> {
    const bench = await ClientBench.open();
    const double = await RegistryDouble.start();
    bench.configure({ plainHttp: [double.host] });
    return new ImageUnderTest(bench, double);
  }

  /** Puts an image there; the descriptor of its manifest. */
  image({ config = {}, layers, mark = '' }: Written = {}): Descriptor {
    this.#double.blobs.set(digestOf(layer), layer);
    const usual = [
      { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(layer), size: layer.length },
    ];
    const { config: inner, ...others } = config;
    const document = {
      ...{ os: 'linux', architecture: 'amd64', config: { Env: [`MARK=${mark}`], ...(inner as Document | undefined) } },
      rootfs: { type: 'layers', diff_ids: (layers ?? usual).map(() => digestOf(layer)) },
      ...others,
    };
    const bytes = this.#written('config', document);
    this.#double.blobs.set(digestOf(bytes), bytes);
    const configDescriptor = { mediaType: types.config, digest: digestOf(bytes), size: bytes.length };
    return this.#put('manifest', {
      ...{ schemaVersion: 2, mediaType: types.manifest, config: configDescriptor, layers: layers ?? usual },
    });
  }

  index(manifests: readonly Document[]): Descriptor {
    return this.#put('index', { schemaVersion: 2, mediaType: types.index, manifests });
  }

  async pull({ digest }: Descriptor): Promise<Omit<RemoteImage, 'session'>> {
    return await this.#bench.resolve(`${this.#double.host}/team/app@${digest}`, undefined, this.platform);
  }

  /** The mark of the image that is taken. */
  async markOf(descriptor: Descriptor): Promise<string | undefined> {
    const { config } = await this.pull(descriptor);
    const { env } = parseConfig(config, digestOf(config)).config;
    return env.find((line) => line.startsWith('MARK='))?.slice('MARK='.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bench[Symbol.asyncDispose]();
    await this.#double[Symbol.asyncDispose]();
  }

  #put(kind: 'manifest' | 'index', document: Document): Descriptor {
    const bytes = this.#written(kind, document);
    this.#double.addManifest('team/app', digestOf(bytes), bytes, types[kind]);
    return { mediaType: types[kind], digest: digestOf(bytes), size: bytes.length };
  }

  #written(kind: ImageDocument, document: Document): Buffer {
    const { changed } = this;
    const written = changed?.field.document === kind ? withValue(document, changed.field, changed.value) : document;
    return Buffer.from(JSON.stringify(written));
  }
}
