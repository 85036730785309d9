import { BerthError } from '#base/errors';
import { archiveLayer } from '../layer-source.ts';
import { parseReference } from '../reference.ts';
import { maxDocumentBytes, UntrustedObject } from '../untrusted.ts';
import type { ArchiveImage } from './archive.ts';
import type { ArchiveFiles } from './files.ts';
import { findFile, readDocument } from './files.ts';

export const dockerManifestName = 'manifest.json';

/** What `docker save` writes: manifest.json names config and layers of each image. */
export async function readDockerArchive(files: ArchiveFiles): Promise<readonly ArchiveImage[]> {
  const what = `${dockerManifestName} in ${files.path}`;
  const bytes = await readDocument(files, dockerManifestName);
  const images: ArchiveImage[] = [];
  for (const image of parseList(bytes, what)) {
    const layers = [];
    for (const name of image.texts('Layers')) layers.push(archiveLayer(await findFile(files, name)));
    images.push({
      config: await readDocument(files, image.text('Config')),
      manifests: [],
      names: image.texts('RepoTags').map(parseReference),
      layers,
    });
  }
  return images;
}

function parseList(bytes: Uint8Array, what: string): readonly UntrustedObject[] {
  if (bytes.length > maxDocumentBytes) throw new BerthError('IMAGE_INVALID', `${what} is too large`);
  let list: unknown;
  try {
    list = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new BerthError('IMAGE_INVALID', `${what} is not JSON`, { cause: error });
  }
  return new UntrustedObject({ images: list }, what).objects('images');
}
