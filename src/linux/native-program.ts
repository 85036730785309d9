import { existsSync } from 'node:fs';
import path from 'node:path';
import { BerthError } from '#base/errors';

/**
 * The path of a native program of this build, by its place below build/native: "shim/berth-shim".
 *
 * @throws FAILED_PRECONDITION when it is not built
 */
export function nativeProgram(name: string): string {
  // Seen from src/linux and from build/src/linux.
  const places = ['../../build/native', '../../native'].map((place) => path.resolve(import.meta.dirname, place, name));
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new BerthError(
    'FAILED_PRECONDITION',
    `${name} is not built: run "make build"; looked for ${places.join(', ')}`,
  );
}
