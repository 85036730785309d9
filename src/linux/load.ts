import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { BerthError, errnoOf, messageOf } from '#base/errors';

import { addonAbiVersion, type Addon } from './addon.ts';

const fileName = 'berth_addon.node';

/** Where the addon may be, best first: the build tree seen from src/ and from build/src/, then beside the program. */
export function addonPlaces(from: string = import.meta.url): readonly string[] {
  return [
    `../../build/native/addon/${fileName}`,
    `../../native/addon/${fileName}`,
    `../../lib/${fileName}`,
    `../../${fileName}`,
  ].map((place) => fileURLToPath(new URL(place, from)));
}

/** Loads the native addon from the first place that has it. Throws with every place that was tried. */
export function loadAddon(places: readonly string[] = addonPlaces()): Addon {
  const require = createRequire(import.meta.url);
  for (const place of places) {
    try {
      return checked(require(place), place);
    } catch (error) {
      // Only "it is not there" leads on; a library that is there and broken must be seen.
      if (errnoOf(error) !== 'MODULE_NOT_FOUND') throw loadFailure(error, place);
    }
  }
  throw new BerthError(
    'FAILED_PRECONDITION',
    `the native addon is not built: run "make build"; tried ${places.join(', ')}`,
  );
}

function loadFailure(error: unknown, place: string): BerthError {
  if (error instanceof BerthError) return error;
  return new BerthError('FAILED_PRECONDITION', `cannot load the native addon ${place}: ${messageOf(error)}`, {
    cause: error,
  });
}

function checked(library: unknown, place: string): Addon {
  const version = (library as Partial<Addon>).abiVersion;
  if (version === addonAbiVersion) return library as Addon;
  throw new BerthError(
    'FAILED_PRECONDITION',
    `the native addon ${place} has version ${version ?? 'unknown'}, not ${addonAbiVersion}: run "make build"`,
  );
}
