import { tar, type TarEntry } from '../tar-archive.ts';

// What is in the images that are pulled: the same on every machine and in every run. Some of it is noise, as
// packed data in real images is, the rest words; gzip makes about half of it.

/** xorshift32: fast, and the same everywhere. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  below(limit: number): number {
    return this.next() % limit;
  }
}

const pageSize = 4096;
const noisyPages = 0.15;
const wordCount = 4096;

function words(random: Random): readonly Buffer[] {
  return Array.from({ length: wordCount }, () => {
    const length = 3 + random.below(9);
    return Buffer.from(Array.from({ length }, () => 97 + random.below(26)).concat(random.below(8) === 0 ? 10 : 32));
  });
}

function fill(bytes: Buffer, random: Random, dictionary: readonly Buffer[]): void {
  for (let page = 0; page < bytes.length; page += pageSize) {
    const end = Math.min(bytes.length, page + pageSize);
    if (random.below(1000) < noisyPages * 1000) {
      for (let at = page; at < end; at += 4) bytes.writeUInt32LE(random.next(), Math.min(at, bytes.length - 4));
      continue;
    }
    for (let at = page; at < end;) at += dictionary[random.below(wordCount)]!.copy(bytes, at, 0, end - at);
  }
}

export interface LayerShape {
  readonly files: number;
  /** Unpacked, all files together. */
  readonly bytes: number;
}

/** A tar of so many files, sizes spread as in real images: most small, few large. */
export function layerTar(shape: LayerShape, seed: number): Buffer {
  const random = new Random(seed * 2_654_435_761);
  const dictionary = words(random);
  const weights = Array.from({ length: shape.files }, () => 1 / (0.02 + random.below(1000) / 1000));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const entries: TarEntry[] = [{ name: `layer-${seed}/`, mode: 0o755 }];
  for (const [index, weight] of weights.entries()) {
    if (index % 50 === 0) entries.push({ name: `layer-${seed}/d${Math.floor(index / 50)}/`, mode: 0o755 });
    const content = Buffer.alloc(Math.max(64, Math.floor((shape.bytes * weight) / total)));
    fill(content, random, dictionary);
    entries.push({ name: `layer-${seed}/d${Math.floor(index / 50)}/file-${index}`, mode: 0o644, content });
  }
  return tar(entries);
}
