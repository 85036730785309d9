import type { Ctx } from '#base/ctx';
import type { RegistryConfig } from '#config/slices';
import type { Fd } from '#linux/fd';
import type { UnknownImageFields } from '../image-fields.ts';
import type { Platform } from '../platform.ts';
import type { Reference } from '../reference.ts';

/** Where images come from. It downloads; nothing here writes to disk or decides what is kept. */
export interface Registry {
  /**
   * Walks from a name to the image for the platform: index, manifest, config; every document's digest is checked.
   *
   * @throws NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE, DEADLINE_EXCEEDED, IMAGE_INVALID; no message has
   *   credentials or a query string
   */
  resolve(ctx: Ctx, request: RemoteRequest): Promise<RemoteImage>;
  /**
   * Writes the bytes of a blob into `sink` (a pipe, which it owns and closes at the end), with back-pressure, resuming
   * by range after a broken connection and turning to the next mirror. The reader checks the digest; a blob that is
   * shorter or longer than its descriptor is an error here.
   */
  fetchBlob(ctx: Ctx, image: RemoteImage, blob: BlobDescriptor, sink: Fd, onProgress?: OnBytes): Promise<void>;
  /** New mirrors, certificates and credentials, for what is resolved from now on. */
  reconfigure(config: RegistryConfig): void;
  close(): Promise<void>;
}

export type { RegistryConfig };

export type OnBytes = (bytes: number) => void;

export interface RemoteRequest {
  readonly reference: Reference;
  readonly platform: Platform;
  readonly credentials?: RegistryCredentials;
  /** A config that is here already: it is not fetched if it is the one that the image has. */
  readonly knownConfig?: Uint8Array;
}

/** As in the CRI's AuthConfig. */
export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
  /** base64 of "user:password". */
  readonly auth: string;
  /** Only for this registry; "" for whichever is asked. */
  readonly serverAddress: string;
  /** OAuth2 refresh token. */
  readonly identityToken: string;
  /** A bearer token as it is. */
  readonly registryToken: string;
}

export interface BlobDescriptor {
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
  /** Its descriptor has URLs outside the registry, which are not followed. */
  readonly hasUrls?: boolean;
}

export interface RemoteImage {
  /** For `fetchBlob`: which host, which credentials. Known to the registry alone. */
  readonly session: unknown;
  /** Of the outermost document: what a pull by digest names. */
  readonly manifestDigest: string;
  /** Index and manifest, outermost first, as bytes. */
  readonly manifests: readonly Uint8Array[];
  readonly config: Uint8Array;
  /** Bottom first, as many as the config has diffIDs. */
  readonly layers: readonly BlobDescriptor[];
  /** Of those of `manifests`. */
  readonly unknownFields: Omit<UnknownImageFields, 'config'>;
}
