import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Addon } from '#linux/addon';
import { addonPlaces, loadAddon } from '#linux/load';

const top = path.join(import.meta.dirname, '../..');

/** Where a build puts the unpacker; BERTH_TEST_NATIVE names another build tree. */
function buildTree(): string {
  return process.env['BERTH_TEST_NATIVE'] ?? path.join(top, 'build/native');
}

/** Addon and unpacker for tests that unpack for real; or why they cannot run here. */
export function testNatives(): { readonly addon: Addon; readonly unpackBinary: string } | { readonly missing: string } {
  const unpackBinary = path.join(buildTree(), 'unpack/berth-unpack');
  const places = [path.join(buildTree(), 'addon/berth_addon.node'), ...addonPlaces()];
  if (process.getuid?.() !== 0) return { missing: 'unpacking layers needs root' };
  if (!existsSync(unpackBinary)) return { missing: `${unpackBinary} is not built` };
  if (!places.some((place) => existsSync(place))) return { missing: 'the addon is not built' };
  return { addon: loadAddon(places), unpackBinary };
}
