import type { Ctx } from '#base/ctx';
import type { AccountFiles } from './accounts.ts';
import type { RegistryCredentials } from './registry/registry.ts';

/**
 * Images as the rest of Berth sees them. Everything in an Image comes from untrusted bytes: it is data for the
 * container, never a decision on the node.
 */
export interface ImageStore {
  /** By id (`sha256:…` config digest, with or without prefix, or a unique prefix of ≥ 7 digits), tag or repo digest. From memory. */
  find(reference: string): Image | undefined;
  /** All images, from memory. */
  list(): readonly Image[];
  /**
   * Loads an OCI image layout or a docker-archive (a tar file, possibly compressed, or a directory).
   *
   * @returns the images it held
   * @throws IMAGE_INVALID, RESOURCE_EXHAUSTED; nothing partial is ever visible
   */
  load(ctx: Ctx, source: LoadSource): Promise<readonly Image[]>;
  /**
   * Brings an image from its registry, which is always asked; what is here already is not fetched again. Callers that ask
   * for the same name with the same credentials share one pull; it ends when the last of them has left.
   *
   * @throws what the registry throws, IMAGE_INVALID, RESOURCE_EXHAUSTED; nothing partial is ever visible
   */
  pull(ctx: Ctx, request: PullRequest): Promise<Image>;
  /** Those under way, oldest first. From memory. */
  pulls(): readonly PullStatus[];
  /** Removes every name of the image; layers still in use stay until their last user goes. Unknown: no error. */
  remove(ctx: Ctx, reference: string): Promise<void>;
  /** Keeps the layers of an image while a container uses them. Throws NOT_FOUND. */
  lease(ctx: Ctx, imageId: string, leaseId: string): Promise<RootfsLayers>;
  release(ctx: Ctx, leaseId: string): Promise<void>;
  /** Recovery, before anything is released: makes the leases of containers again whose rows are lost. */
  holdLeases(ctx: Ctx, held: ReadonlyMap<string, HeldImage>): Promise<void>;
  /**
   * Recovery: as holdLeases; all other leases are dropped. Before that nothing is removed that an earlier berthd has left: only
   * here it is known what containers use.
   */
  keepLeases(ctx: Ctx, held: ReadonlyMap<string, HeldImage>): Promise<void>;
  /** The image's account files, to be read as far as somebody needs them. Throws NOT_FOUND. */
  accounts(ctx: Ctx, imageId: string): Promise<AccountFiles>;
  /** What only few ask for. Throws NOT_FOUND. */
  inspect(ctx: Ctx, imageId: string): Promise<ImageDetails>;
  /** Bytes and inodes of blobs and layers, without walking a tree. */
  usage(): ImageUsage;
  /** What lies on disk that no row owns, for `berth check`. */
  strays(ctx: Ctx): Promise<readonly string[]>;
}

export interface LoadSource {
  readonly path: string;
  /** Overrides the names inside the archive. */
  readonly reference?: string;
  readonly onProgress?: (progress: LoadProgress) => void;
}

export interface LoadProgress {
  readonly layer: string;
  readonly bytes: number;
  readonly total: number;
}

export interface PullRequest {
  readonly reference: string;
  readonly credentials?: RegistryCredentials;
  /** Called now and then, and with every new stage. */
  readonly onProgress?: (status: PullStatus) => void;
}

/** In this order; what is here already goes from layers to its end. */
export const pullStages = ['queued', 'resolve', 'layers', 'sync', 'record'] as const;
export type PullStage = (typeof pullStages)[number];

export interface PullStatus {
  /** The full name. */
  readonly reference: string;
  /** As in ISO 8601. */
  readonly startedAt: string;
  readonly stage: PullStage;
  readonly waiters: number;
  /** Bottom first; empty until the registry has answered. */
  readonly layers: readonly LayerStatus[];
}

/** Bytes are those of the packed layer. */
export interface LayerStatus {
  readonly digest: string;
  readonly size: number;
  readonly downloaded: number;
  readonly unpacked: number;
  readonly state: 'waiting' | 'downloading' | 'done' | 'present';
}

export interface ImageDetails {
  /** Of the topmost layer; "" without layers. */
  readonly chainId: string;
  /** Bottom first. */
  readonly diffIds: readonly string[];
  /** The config as its author wrote it: untrusted JSON, at most 4 MiB. */
  readonly configJson: string;
}

/** What a container was made from. */
export interface HeldImage {
  readonly imageId: string;
  /** Names of the layers that are mounted, as `lease` gave them; empty when that is not known. */
  readonly lowers: readonly string[];
}

/** Lower directories for an overlay, top layer first, as short names relative to `directory`. */
export interface RootfsLayers {
  readonly directory: string;
  readonly lowers: readonly string[];
}

export interface ImageUsage {
  readonly mountpoint: string;
  readonly bytes: number;
  readonly inodes: number;
}

export interface Image {
  /** `sha256:` + digest of the config: Image.id, image_id of containers and PullImageResponse.image_ref alike. */
  readonly id: string;
  /** Full names with host and tag: "localhost/busybox:latest". */
  readonly repoTags: readonly string[];
  /** "name@sha256:…" */
  readonly repoDigests: readonly string[];
  /** Bytes of the compressed layers and config; > 0. */
  readonly size: number;
  readonly config: ImageConfig;
  readonly pinned: boolean;
  readonly createdAtNs: bigint;
}

/** What of the OCI image config a runtime needs; bounded copies. */
export interface ImageConfig {
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  readonly volumes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly stopSignal: string;
  readonly architecture: string;
  readonly os: string;
}
