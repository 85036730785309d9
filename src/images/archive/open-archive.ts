import { createReadStream, createWriteStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rm, stat } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { Ctx } from '#base/ctx';
import { BerthError, errnoOf, isBerthError, toBerthError } from '#base/errors';
import type { Platform } from '../platform.ts';
import type { ArchiveImage } from './archive.ts';
import { dockerManifestName, readDockerArchive } from './docker-archive.ts';
import type { ArchiveFiles } from './files.ts';
import { DirectoryFiles } from './files.ts';
import { ociIndexName, readOciLayout } from './oci-layout.ts';
import { TarFiles } from './tar-files.ts';

export interface OpenArchive extends AsyncDisposable {
  readonly images: readonly ArchiveImage[];
}

export interface OpenArchiveOptions {
  readonly platform: Platform;
  /** Where a compressed archive is uncompressed to; removed when the archive is closed. */
  readonly scratchPath: string;
  readonly maxBytes?: number;
}

const defaultMaxBytes = 256 * 1024 ** 3;

/**
 * Opens an OCI image layout or a docker-archive: a directory, a tar, or a tar in gzip or zstd. An archive that is both
 * (what docker writes today) is read as the layout, which has digests.
 *
 * @throws NOT_FOUND, IMAGE_INVALID, RESOURCE_EXHAUSTED
 */
export async function openArchive(ctx: Ctx, path: string, options: OpenArchiveOptions): Promise<OpenArchive> {
  const files = await openFiles(ctx, path, options);
  try {
    const images = await readImages(files, options.platform);
    return { images, [Symbol.asyncDispose]: () => files[Symbol.asyncDispose]() };
  } catch (error) {
    await files[Symbol.asyncDispose]();
    // A name inside the archive that is no image name is the archive's fault, not the caller's.
    if (isBerthError(error, 'INVALID_ARGUMENT')) throw new BerthError('IMAGE_INVALID', error.message, { cause: error });
    throw toBerthError(error, `read the archive ${path}`);
  }
}

async function readImages(files: ArchiveFiles, platform: Platform): Promise<readonly ArchiveImage[]> {
  if (await files.find(ociIndexName)) return await readOciLayout(files, platform);
  if (await files.find(dockerManifestName)) return await readDockerArchive(files);
  throw new BerthError(
    'IMAGE_INVALID',
    `${files.path} is neither an OCI image layout (${ociIndexName}) nor a docker-archive (${dockerManifestName})`,
  );
}

async function openFiles(ctx: Ctx, path: string, options: OpenArchiveOptions): Promise<ArchiveFiles> {
  try {
    const status = await stat(path);
    if (status.isDirectory()) return new DirectoryFiles(path);
    if (!status.isFile()) throw new BerthError('INVALID_ARGUMENT', `${path} is neither a file nor a directory`);
    await using stack = new AsyncDisposableStack();
    const handle = stack.adopt(await open(path, 'r'), (h) => h.close());
    const compression = await compressionOf(handle);
    if (compression === undefined) {
      const files = await TarFiles.open(path, handle);
      stack.move();
      return files;
    }
    return await openCompressed(ctx, path, handle, compression, options);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new BerthError('NOT_FOUND', `no such archive: ${path}`, { cause: error });
    throw toBerthError(error, `read the archive ${path}`);
  }
}

async function openCompressed(
  ctx: Ctx,
  path: string,
  handle: FileHandle,
  compression: 'gzip' | 'zstd',
  options: OpenArchiveOptions,
): Promise<ArchiveFiles> {
  const { scratchPath, maxBytes = defaultMaxBytes } = options;
  let bytes = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      const error = bytes > maxBytes && new BerthError('IMAGE_INVALID', `${path} holds more than ${maxBytes} bytes`);
      done(error || null, chunk);
    },
  });
  try {
    await pipeline(
      createReadStream('', { fd: handle, autoClose: false, start: 0 }),
      compression === 'gzip' ? createGunzip() : createZstdDecompress(),
      bounded,
      createWriteStream(scratchPath, { flags: 'wx', mode: 0o600 }),
      { signal: ctx.signal },
    );
    await using stack = new AsyncDisposableStack();
    const files = await TarFiles.open(
      path,
      stack.adopt(await open(scratchPath, 'r'), (h) => h.close()),
    );
    stack.move();
    // Open is enough: the space comes back with the last close, whatever happens to us.
    await rm(scratchPath);
    return files;
  } catch (error) {
    await rm(scratchPath, { force: true });
    const code = errnoOf(error) ?? '';
    if (code.startsWith('Z_') || code.startsWith('ZSTD_')) {
      throw new BerthError('IMAGE_INVALID', `${path} is a corrupt ${compression} file`, { cause: error });
    }
    throw error;
  }
}

async function compressionOf(handle: FileHandle): Promise<'gzip' | 'zstd' | undefined> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
  const magic = buffer.toString('hex', 0, bytesRead);
  if (magic.startsWith('1f8b')) return 'gzip';
  return magic === '28b52ffd' ? 'zstd' : undefined;
}
