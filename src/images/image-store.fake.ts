import { systemClock } from '#base/clock';
import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { AccountFiles } from './accounts.ts';
import { chainIds, digestOf, parseConfig } from './config.ts';
import { ImageIndex } from './image-index.ts';
import type {
  HeldImage,
  Image,
  ImageConfig,
  ImageDetails,
  ImageStore,
  ImageUsage,
  LoadSource,
  PullRequest,
  PullStatus,
  RootfsLayers,
} from './image-store.ts';
import { hostPlatform } from './platform.ts';
import { noPullMetrics } from './pull-metrics.ts';
import { Pulls } from './pulls.ts';
import { parseReference, repositoryOf, repoTagOf } from './reference.ts';
import { FakeRegistry } from './registry/registry.fake.ts';
import type { ImageRow } from './rows.ts';

/** An image that the fake knows without any bytes. */
export interface FakeImage {
  readonly names: readonly string[];
  readonly config?: Partial<ImageConfig>;
  readonly passwd?: string;
  readonly group?: string;
  /** Told apart by this; the id is its digest. Default: the names. */
  readonly content?: string;
}

const emptyConfig: ImageConfig = {
  user: '',
  env: [],
  entrypoint: [],
  cmd: [],
  workingDir: '',
  volumes: [],
  labels: {},
  stopSignal: '',
  architecture: 'amd64',
  os: 'linux',
};

/** Images without a disk: `archives` says what `load` finds where, `registry` what `pull` does. */
export class FakeImageStore implements ImageStore {
  readonly registry = new FakeRegistry();
  readonly archives = new Map<string, readonly FakeImage[]>();
  readonly leases = new Map<string, string>();
  readonly #index = new ImageIndex();
  readonly #known = new Map<string, FakeImage>();
  readonly #pulls = new Pulls({
    clock: systemClock,
    metrics: noPullMetrics,
    atOnce: 8,
    run: async (ctx, { reference, credentials }) => {
      const request = { reference, platform: hostPlatform(), ...(credentials && { credentials }) };
      ctx.stage('resolve');
      const remote = await this.registry.resolve(ctx, request);
      const { config } = parseConfig(remote.config, digestOf(remote.config));
      const tag = reference.digest === undefined ? repoTagOf(reference) : undefined;
      const content = Buffer.from(remote.config).toString('utf8');
      const repoDigest = `${repositoryOf(reference)}@${remote.manifestDigest}`;
      return this.add({ names: tag === undefined ? [] : [tag], config, content }, [repoDigest]);
    },
  });

  /** As if the image had been loaded. */
  add(image: FakeImage, repoDigests: readonly string[] = []): Image {
    const id = digestOf(Buffer.from(image.content ?? image.names.join(' ')));
    const repoTags = image.names.map((name) => repoTagOf(parseReference(name)) ?? name);
    for (const tag of repoTags) {
      const owner = this.#index.ownerOf(tag);
      if (owner && owner.id !== id) {
        this.#index.set({ ...owner, repoTags: owner.repoTags.filter((other) => other !== tag) });
      }
    }
    const before = this.#index.get(id);
    const row: ImageRow = {
      id,
      repoTags: [...new Set([...(before?.repoTags ?? []), ...repoTags])],
      repoDigests: [...new Set([...(before?.repoDigests ?? []), ...repoDigests])],
      size: 1,
      config: { ...emptyConfig, ...image.config },
      layers: [id],
      blobs: [],
      blobBytes: 0,
      createdAtNs: 1n,
    };
    this.#known.set(id, image);
    this.#index.set(row);
    return this.#index.toImage(row);
  }

  find(reference: string): Image | undefined {
    const row = this.#index.find(reference);
    return row && this.#index.toImage(row);
  }

  list(): readonly Image[] {
    return this.#index.list();
  }

  async load(ctx: Ctx, source: LoadSource): Promise<readonly Image[]> {
    ctx.signal.throwIfAborted();
    const images = this.archives.get(source.path);
    if (!images) throw new BerthError('NOT_FOUND', `no such archive: ${source.path}`);
    const { reference } = source;
    if (reference === undefined) return images.map((image) => this.add(image));
    parseReference(reference);
    if (images.length !== 1) throw new BerthError('INVALID_ARGUMENT', `${source.path} holds ${images.length} images`);
    const content = (image: FakeImage): string => image.content ?? image.names.join(' ');
    return images.map((image) => this.add({ ...image, content: content(image), names: [reference] }));
  }

  async pull(ctx: Ctx, request: PullRequest): Promise<Image> {
    return await this.#pulls.pull(ctx, request);
  }

  pulls(): readonly PullStatus[] {
    return this.#pulls.list();
  }

  async inspect(_ctx: Ctx, imageId: string): Promise<ImageDetails> {
    const row = this.#index.get(imageId);
    if (!row) throw new BerthError('NOT_FOUND', `image ${imageId} not found`);
    return { diffIds: row.layers, chainId: chainIds(row.layers).at(-1) ?? '', configJson: '{}' };
  }

  async remove(_ctx: Ctx, reference: string): Promise<void> {
    const row = this.#index.find(reference);
    if (row) this.#index.delete(row.id);
  }

  async lease(_ctx: Ctx, imageId: string, leaseId: string): Promise<RootfsLayers> {
    const held = this.leases.get(leaseId);
    if (held !== undefined && held !== imageId) {
      throw new BerthError('ALREADY_EXISTS', `lease ${leaseId} holds image ${held}`);
    }
    if (held === undefined && !this.#index.get(imageId)) {
      throw new BerthError('NOT_FOUND', `image ${imageId} not found`);
    }
    this.leases.set(leaseId, imageId);
    return { directory: '/fake/layers', lowers: ['1'] };
  }

  async release(_ctx: Ctx, leaseId: string): Promise<void> {
    this.leases.delete(leaseId);
  }

  async holdLeases(_ctx: Ctx, held: ReadonlyMap<string, HeldImage>): Promise<void> {
    for (const [leaseId, { imageId }] of held) if (!this.leases.has(leaseId)) this.leases.set(leaseId, imageId);
  }

  async keepLeases(ctx: Ctx, held: ReadonlyMap<string, HeldImage>): Promise<void> {
    for (const leaseId of [...this.leases.keys()]) if (!held.has(leaseId)) this.leases.delete(leaseId);
    await this.holdLeases(ctx, held);
  }

  async accounts(_ctx: Ctx, imageId: string): Promise<AccountFiles> {
    const leased = [...this.leases.values()].includes(imageId);
    const image = leased || this.#index.get(imageId) ? this.#known.get(imageId) : undefined;
    if (!image) throw new BerthError('NOT_FOUND', `image ${imageId} not found`);
    return { passwd: async () => image.passwd ?? '', group: async () => image.group ?? '' };
  }

  usage(): ImageUsage {
    const held = new Set([...this.#index.rows().map((row) => row.id), ...this.leases.values()]);
    return { mountpoint: '/fake', bytes: held.size, inodes: held.size };
  }

  async strays(): Promise<readonly string[]> {
    return [];
  }
}
