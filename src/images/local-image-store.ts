import type { Clock } from '#base/clock';
import { systemClock } from '#base/clock';
import type { Ctx } from '#base/ctx';
import { BerthError, toBerthError } from '#base/errors';
import { KeyedLock } from '#base/keyed-lock';
import type { Addon } from '#linux/addon';
import { Files } from '#linux/files';
import type { Change, Store } from '#store/collection';
import { Accounts } from './accounts.ts';
import type { AccountFiles } from './accounts.ts';
import { openArchive } from './archive/open-archive.ts';
import { Blobs } from './blobs.ts';
import type { CommitDeps } from './commit-images.ts';
import { commitImages } from './commit-images.ts';
import { chainIds } from './config.ts';
import { emptyLayer, ImageDirs } from './image-dirs.ts';
import type { UnknownImageFields } from './image-fields.ts';
import { ImageIndex } from './image-index.ts';
import type {
  HeldImage,
  Image,
  ImageDetails,
  ImageStore,
  ImageUsage,
  LoadSource,
  PullRequest,
  PullStatus,
  RootfsLayers,
} from './image-store.ts';
import { KeptLayers } from './kept-layers.ts';
import { Layers } from './layers.ts';
import type { TreeLayer } from './merged-tree.ts';
import type { Platform } from './platform.ts';
import { hostPlatform } from './platform.ts';
import { prepareImage } from './prepare-image.ts';
import { pullImage } from './pull-image.ts';
import type { PullMetrics } from './pull-metrics.ts';
import { noPullMetrics } from './pull-metrics.ts';
import { Pulls } from './pulls.ts';
import { findStrays, recoverRows, removeTrees, strayPaths, tellLost } from './recover-images.ts';
import type { Owned } from './recover-images.ts';
import { parseReference } from './reference.ts';
import type { Registry } from './registry/registry.ts';
import { imageSpec, layerSpec, leaseSpec } from './rows.ts';
import type { LayerRow, LeaseRow, Rows } from './rows.ts';
import { spreadDirectories } from './spread-directories.ts';

export interface LocalImageStoreOptions {
  readonly addon: Addon;
  /** Below it: layers, blobs, tmp. One file system. */
  readonly root: string;
  readonly store: Store;
  /** Path of berth-unpack. */
  readonly unpackBinary: string;
  readonly registry: Registry;
  /** Whether one of an image's names is one that clean-up shall leave alone. Default: none. */
  readonly isPinned?: (names: readonly string[]) => boolean;
  /** Pulls at once. */
  readonly parallelPulls?: number;
  /** Bytes of files that a layer may unpack to, as the owner says now. Default: the unpacker's. */
  readonly maxLayerBytes?: () => number;
  readonly pullMetrics?: PullMetrics;
  /** Told of every image that is pulled or loaded. */
  readonly countUnknownFields?: (fields: UnknownImageFields) => void;
  readonly platform?: Platform;
  readonly clock?: Clock;
}

const lostLayer = { diffId: '', bytes: 0, inodes: 0, opaque: [] } as const;

/** How long finished layers of a pull that broke off wait for the next attempt; a kubelet tries after at most 5 minutes. */
const keepMs = 10 * 60_000;

/** Images on disk; commit-images.ts has the order in which they get there. */
export class LocalImageStore implements ImageStore, AsyncDisposable {
  readonly #options: LocalImageStoreOptions;
  readonly #dirs: ImageDirs;
  readonly #rows: Rows;
  readonly #blobs: Blobs;
  readonly #layers: Layers;
  readonly #accounts: Accounts;
  readonly #index: ImageIndex;
  readonly #commit: CommitDeps;
  readonly #kept: KeptLayers;
  readonly #pulls: Pulls;
  /** What leases hold; set before the disk knows, so that no removal slips between. */
  readonly #leases = new Map<string, LeaseRow>();
  /** Changes of image rows, one after another. Nothing that answers from memory takes it. */
  readonly #changes = new KeyedLock();
  #sweep: Promise<void> = Promise.resolve();

  private constructor(
    ctx: Ctx,
    options: LocalImageStoreOptions,
    dirs: ImageDirs,
    rows: Rows,
    names: readonly string[],
  ) {
    this.#options = options;
    this.#dirs = dirs;
    this.#rows = rows;
    this.#blobs = new Blobs(dirs);
    const { addon, registry, store, unpackBinary, isPinned } = options;
    const { platform = hostPlatform(), clock = systemClock } = options;
    this.#index = new ImageIndex(isPinned);
    const isUsed = (key: string): boolean => this.#isUsed(key);
    const { maxLayerBytes } = options;
    this.#layers = new Layers({ addon, dirs, rows: rows.layers, unpackBinary, maxLayerBytes, isUsed }, names);
    this.#accounts = new Accounts(addon);
    for (const row of rows.images.values()) this.#index.set(row);
    for (const row of rows.leases.values()) this.#leases.set(row.leaseId, row);
    const commit: CommitDeps = (this.#commit = {
      ...{ addon, clock, store, root: dirs.root, rows, index: this.#index, layers: this.#layers, blobs: this.#blobs },
      ...{ changes: this.#changes, ownsBlob: this.#ownsBlob },
      freeLayers: (own, keys) => this.#freeLayers(own, keys),
      countUnknown: options.countUnknownFields ?? (() => undefined),
    });
    const kept = new KeptLayers({
      ms: keepMs,
      free: (keys) => this.#freeLayers(ctx, keys),
      onError: (error) =>
        ctx.log.warn({ err: error }, 'could not remove a layer of a broken pull; the next start will'),
    });
    this.#kept = kept;
    this.#pulls = new Pulls({
      clock,
      metrics: options.pullMetrics ?? noPullMetrics,
      atOnce: options.parallelPulls ?? 8,
      run: async (own, wanted, progress) => {
        const id = await pullImage(own, { addon, registry, platform, commit, kept }, wanted, progress);
        const image = this.find(id);
        if (!image) throw new BerthError('NOT_FOUND', `image ${id} was removed while it was pulled`);
        return image;
      },
    });
  }

  /** Opens the rows, and moves aside those whose files are gone. */
  static async open(ctx: Ctx, options: LocalImageStoreOptions): Promise<LocalImageStore> {
    const { store, root } = options;
    const dirs = new ImageDirs(root, new Files(options.addon));
    await dirs.create();
    await spreadDirectories(ctx, options.addon, dirs.tmp);
    const rows: Rows = {
      images: await store.open(ctx, imageSpec),
      layers: await store.open(ctx, layerSpec),
      leases: await store.open(ctx, leaseSpec),
    };
    const names = await dirs.layerNames();
    await recoverRows(ctx, { store, ...rows, names: new Set(names) });
    return new LocalImageStore(ctx, options, dirs, rows, names);
  }

  find(reference: string): Image | undefined {
    const row = this.#index.find(reference);
    return row && this.#index.toImage(row);
  }

  list(): readonly Image[] {
    return this.#index.list();
  }

  /** That there is no room is said before a layer comes, not after. */
  async load(ctx: Ctx, source: LoadSource): Promise<readonly Image[]> {
    if (this.#options.store.behind) await this.#options.store.checkWritable(ctx);
    const override = source.reference === undefined ? undefined : parseReference(source.reference);
    ctx.stage('open archive');
    const { platform = hostPlatform() } = this.#options;
    await using archive = await openArchive(ctx, source.path, { platform, scratchPath: this.#dirs.scratch('archive') });
    if (override && archive.images.length !== 1) {
      const message = `${source.path} holds ${archive.images.length} images: they cannot all be ${source.reference}`;
      throw new BerthError('INVALID_ARGUMENT', message);
    }
    ctx.stage('unpack layers');
    const ids = await commitImages(ctx, this.#commit, async (prepared) => {
      for (const image of archive.images) {
        const names = override ? [override] : image.names;
        const onProgress = (index: number, layer: string, bytes: number): void =>
          source.onProgress?.({ layer, bytes, total: image.layers[index]?.size ?? 0 });
        prepared.push(await prepareImage(ctx, image, { layers: this.#layers, names, onProgress }));
      }
    });
    return ids.map((id) => this.find(id)).filter((image) => image !== undefined);
  }

  async pull(ctx: Ctx, request: PullRequest): Promise<Image> {
    if (this.#options.store.behind) await this.#options.store.checkWritable(ctx);
    return await this.#pulls.pull(ctx, request);
  }

  /** Another choice of the owner: what clean-up shall leave alone from now on. */
  pin(isPinned: (names: readonly string[]) => boolean): void {
    this.#index.pin(isPinned);
  }

  /** Ends those under way and waits for that: berthd is ending. */
  async endPulls(): Promise<void> {
    await this.#pulls.close();
  }

  pulls(): readonly PullStatus[] {
    return this.#pulls.list();
  }

  async remove(ctx: Ctx, reference: string): Promise<void> {
    using _turn = await this.#changes.acquire('images', ctx.signal);
    const row = this.#index.find(reference);
    // Whoever removes images wants room.
    await this.#kept.drop();
    if (!row) return;
    // Out of sight first: a lease that comes now finds no image, so its layers cannot be freed under it.
    this.#index.delete(row.id);
    const unused = this.#layers.takeUnused(row.layers);
    try {
      // Written before a file goes, if need be to the reserve: a row without its files would look like damage.
      const gone: Change = { op: 'delete', collection: this.#rows.images, id: row.id };
      await this.#options.store.transaction(ctx, [gone, ...this.#deletions(unused)], 'change');
    } catch (error) {
      this.#layers.putBack(unused);
      this.#index.set(row);
      throw toBerthError(error, `remove image ${row.id}`);
    }
    for (const digest of row.blobs) await this.#blobs.remove(ctx, digest, this.#ownsBlob);
    await this.#layers.removeFromDisk(ctx, unused);
  }

  async lease(ctx: Ctx, imageId: string, leaseId: string): Promise<RootfsLayers> {
    const existing = this.#leases.get(leaseId);
    if (existing) {
      if (existing.imageId === imageId) return this.#rootfs(existing.layers);
      throw new BerthError('ALREADY_EXISTS', `lease ${leaseId} holds image ${existing.imageId}`);
    }
    const row = this.#index.get(imageId);
    if (!row) throw new BerthError('NOT_FOUND', `image ${imageId} not found`);
    const lease: LeaseRow = { leaseId, imageId, layers: row.layers };
    this.#leases.set(leaseId, lease);
    try {
      await this.#rows.leases.put(ctx, leaseId, lease);
    } catch (error) {
      this.#leases.delete(leaseId);
      throw toBerthError(error, `lease image ${imageId}`);
    }
    return this.#rootfs(lease.layers);
  }

  async release(ctx: Ctx, leaseId: string): Promise<void> {
    const lease = this.#leases.get(leaseId);
    if (!lease) return;
    await this.#rows.leases.delete(ctx, leaseId);
    this.#leases.delete(leaseId);
    await this.#freeLayers(ctx, lease.layers);
  }

  async holdLeases(ctx: Ctx, held: ReadonlyMap<string, HeldImage>): Promise<void> {
    for (const [leaseId, image] of held) await this.#keepLease(ctx, leaseId, image);
  }

  async keepLeases(ctx: Ctx, held: ReadonlyMap<string, HeldImage>): Promise<void> {
    await this.holdLeases(ctx, held);
    for (const leaseId of [...this.#leases.keys()]) {
      if (!held.has(leaseId)) await this.release(ctx, leaseId);
    }
    const strays = await findStrays(ctx, this.#dirs, this.#blobs, this.#owned());
    await tellLost(ctx, this.#options.store, strays);
    for (const digest of strays.blobs) await this.#blobs.remove(ctx, digest, () => false);
    // Trees take longer; their names are taken by nobody from here on.
    const keys = this.#layers.committedRows().map((row) => row.key);
    this.#sweep = this.#freeLayers(ctx, keys).then(() => removeTrees(ctx, this.#dirs, strays));
  }

  /** A layer whose row is lost stays as long as its container: it is mounted. Nobody else gets it. */
  async #keepLease(ctx: Ctx, leaseId: string, { imageId, lowers }: HeldImage): Promise<void> {
    const existing = this.#leases.get(leaseId);
    const keys = new Map(this.#layers.rows().map((row) => [row.name, row.key]));
    const names = lowers.filter((name) => name !== emptyLayer);
    const missing = names.filter((name) => !keys.has(name));
    const used = names.map((name) => keys.get(name)).filter((key) => key !== undefined);
    if (existing && missing.length === 0 && used.every((key) => existing.layers.includes(key))) return;
    const orphans = missing.map((name): LayerRow => ({ ...lostLayer, key: `lost/${name}`, name }));
    const known = existing?.layers ?? this.#index.get(imageId)?.layers ?? [];
    const layers = [
      ...new Set([...known.filter((key) => this.#layers.get(key)), ...used, ...orphans.map(({ key }) => key)]),
    ];
    const lease: LeaseRow = { leaseId, imageId, layers };
    this.#layers.adopt(orphans);
    this.#leases.set(leaseId, lease);
    await this.#options.store
      .transaction(ctx, [
        ...orphans.map((row): Change => ({ op: 'put', collection: this.#rows.layers, id: row.key, value: row })),
        { op: 'put', collection: this.#rows.leases, id: leaseId, value: lease },
      ])
      .catch((error: unknown) =>
        ctx.log.warn({ err: error, leaseId }, 'could not record what a container is made from'),
      );
    ctx.log.warn({ leaseId, lostRows: missing }, 'the lease of a container was lost, and is made again');
  }

  async accounts(_ctx: Ctx, imageId: string): Promise<AccountFiles> {
    const layers =
      this.#index.get(imageId)?.layers ?? [...this.#leases.values()].find((lease) => lease.imageId === imageId)?.layers;
    if (!layers) throw new BerthError('NOT_FOUND', `image ${imageId} not found`);
    return this.#accounts.of(imageId, this.#visible(layers));
  }

  async inspect(_ctx: Ctx, imageId: string): Promise<ImageDetails> {
    const row = this.#index.get(imageId);
    if (!row) throw new BerthError('NOT_FOUND', `image ${imageId} not found`);
    const diffIds = row.layers.map((key) => this.#layers.get(key)?.diffId ?? '');
    const configJson = new TextDecoder().decode(await this.#blobs.read(row.id));
    return { diffIds, chainId: chainIds(diffIds).at(-1) ?? '', configJson };
  }

  usage(): ImageUsage {
    const layers = this.#layers.committedRows();
    const images = this.#index.rows();
    return {
      mountpoint: this.#dirs.root,
      bytes: sum(layers.map((row) => row.bytes)) + sum(images.map((row) => row.blobBytes)),
      inodes: sum(layers.map((row) => row.inodes)) + sum(images.map((row) => row.blobs.length)),
    };
  }

  async strays(ctx: Ctx): Promise<readonly string[]> {
    await this.#sweep;
    return strayPaths(this.#dirs, await findStrays(ctx, this.#dirs, this.#blobs, this.#owned()));
  }

  /** Ends the pulls under way, and waits for the clean-up that `open` began. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.endPulls();
    await this.#kept[Symbol.asyncDispose]();
    await this.#sweep;
  }

  #isUsed(key: string): boolean {
    return (
      this.#index.rows().some((row) => row.layers.includes(key)) ||
      [...this.#leases.values()].some((lease) => lease.layers.includes(key))
    );
  }

  async #freeLayers(ctx: Ctx, keys: Iterable<string>): Promise<void> {
    const unused = this.#layers.takeUnused(keys);
    if (unused.length === 0) return;
    try {
      await this.#options.store.transaction(ctx, this.#deletions(unused), 'change');
    } catch (error) {
      this.#layers.putBack(unused);
      ctx.log.warn({ err: error }, 'could not free layers; the next start will');
      return;
    }
    await this.#layers.removeFromDisk(ctx, unused);
  }

  #deletions(rows: readonly LayerRow[]): readonly Change[] {
    return rows.map((row) => ({ op: 'delete', collection: this.#rows.layers, id: row.key }));
  }

  /** The layers that count, top first: a layer twice counts at its upper place, and an opaque root hides all below. */
  #visible(keys: readonly string[]): readonly (TreeLayer & { readonly name: string })[] {
    const visible: (TreeLayer & { readonly name: string })[] = [];
    for (const key of new Set([...keys].reverse())) {
      const row = this.#layers.get(key);
      if (!row) throw new BerthError('STATE_CORRUPT', `layer ${key} of a leased image is gone`);
      visible.push({ name: row.name, directory: this.#dirs.layer(row.name), opaque: row.opaque });
      if (row.opaque.includes('')) break;
    }
    return visible;
  }

  #rootfs(keys: readonly string[]): RootfsLayers {
    const lowers = this.#visible(keys).map((layer) => layer.name);
    // An overlay wants at least one lower directory.
    return { directory: this.#dirs.layers, lowers: lowers.length > 0 ? lowers : [emptyLayer] };
  }

  #owned(): Owned {
    return {
      layers: new Set(this.#layers.rows().map((row) => row.name)),
      blobs: new Set(this.#index.rows().flatMap((row) => row.blobs)),
    };
  }

  readonly #ownsBlob = (digest: string): boolean => this.#index.rows().some((row) => row.blobs.includes(digest));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
