import { knownArchiveFields } from '../image-fields.ts';
import { archiveLayer } from '../layer-source.ts';
import { parseReference } from '../reference.ts';
import { objectsOf, parseUntrustedValue } from '../untrusted.ts';
import type { ArchiveImage } from './archive.ts';
import type { ArchiveFiles } from './files.ts';
import { findFile, readDocument } from './files.ts';

export const dockerManifestName = 'manifest.json';

/** What `docker save` writes: manifest.json names config and layers of each image. */
export async function readDockerArchive(files: ArchiveFiles): Promise<readonly ArchiveImage[]> {
  const what = `${dockerManifestName} in ${files.path}`;
  const bytes = await readDocument(files, dockerManifestName);
  const images: ArchiveImage[] = [];
  for (const image of objectsOf(parseUntrustedValue(bytes, what), what)) {
    const layers = [];
    for (const name of image.texts('Layers')) layers.push(archiveLayer(await findFile(files, name)));
    images.push({
      config: await readDocument(files, image.text('Config')),
      manifests: [],
      names: image.texts('RepoTags').map(parseReference),
      layers,
      unknownFields: { manifest: image.countUnknown(knownArchiveFields), index: 0 },
    });
  }
  return images;
}
