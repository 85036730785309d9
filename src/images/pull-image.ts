import type { Ctx } from '#base/ctx';
import type { Addon } from '#linux/addon';
import type { CommitDeps } from './commit-images.ts';
import { commitImages } from './commit-images.ts';
import type { KeptLayers } from './kept-layers.ts';
import type { LayerSource } from './layer-source.ts';
import type { Platform } from './platform.ts';
import { prepareImage } from './prepare-image.ts';
import type { PullProgress } from './pull-progress.ts';
import type { Reference } from './reference.ts';
import { repoDigestOf, repoTagOf } from './reference.ts';
import type { BlobDescriptor, Registry, RegistryCredentials } from './registry/registry.ts';
import { remoteLayer } from './remote-layer.ts';

export interface PullDeps {
  readonly addon: Addon;
  readonly registry: Registry;
  readonly platform: Platform;
  readonly commit: CommitDeps;
  readonly kept: KeptLayers;
}

/** One pull from the name to the row; gives the image's id. */
export async function pullImage(
  ctx: Ctx,
  deps: PullDeps,
  request: { readonly reference: Reference; readonly credentials?: RegistryCredentials | undefined },
  progress: PullProgress,
): Promise<string> {
  const { addon, registry, platform, commit, kept } = deps;
  const { reference, credentials } = request;
  ctx.stage('resolve');
  const knownConfig = await configOfName(commit, reference);
  const image = await registry.resolve(ctx, {
    ...{ reference, platform },
    ...(credentials && { credentials }),
    ...(knownConfig && { knownConfig }),
  });
  progress.expect(image.layers);
  ctx.stage('layers');
  const toSource = (blob: BlobDescriptor, index: number): LayerSource =>
    remoteLayer({ addon, registry, image, blob, onDownload: (bytes) => progress.downloaded(index, bytes) });
  const { config, manifests, manifestDigest, unknownFields } = image;
  const ids = await commitImages(ctx, commit, async (prepared) => {
    const source = { config, manifests, manifestDigest, unknownFields, layers: image.layers.map(toSource) };
    prepared.push(
      await prepareImage(ctx, source, {
        layers: commit.layers,
        names: [withoutTagOfDigest(reference)],
        onProgress: (index, _diffId, bytes) => progress.unpacked(index, bytes),
        onLayer: (index, layer) => progress.finished(index, layer.reused),
        keep: (pins, reason) => kept.keep(pins, reason),
      }),
    );
  });
  return ids[0] ?? '';
}

/** The config of the image that has the name here, which most pulls find unchanged. */
async function configOfName({ index, blobs }: CommitDeps, reference: Reference): Promise<Uint8Array | undefined> {
  const name = repoDigestOf(reference) ?? repoTagOf(reference);
  const row = name === undefined ? undefined : index.ownerOf(name);
  try {
    return row && (await blobs.read(row.id));
  } catch {
    // Damaged, or removed just now: the registry has it.
    return undefined;
  }
}

/** Of name:tag@digest the digest counts: what the tag means now nobody has asked. */
function withoutTagOfDigest({ domain, path, tag, digest }: Reference): Reference {
  if (digest !== undefined) return { domain, path, digest };
  return { domain, path, ...(tag !== undefined && { tag }) };
}
