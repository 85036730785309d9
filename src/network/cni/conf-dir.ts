import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { readBounded, UnfitFile } from '#base/bounded-file';
import { BerthError, errnoOf, messageOf } from '#base/errors';
import { countUnknown, parseConfList, parsePlugin, withPlugins, type ConfList, type PluginConf } from './conf-list.ts';

const extensions = ['.conflist', '.conf', '.json'];
/** A list is a page of text; it is stored with every pod. */
const maxBytes = 64 * 1024;
const maxFiles = 128;

export interface ConfFile {
  readonly file: string;
  readonly list: ConfList;
  /** How many fields nobody here knows. */
  readonly unknownFields: number;
}

/** What a directory of network configurations says. */
export interface ConfDir {
  /** The first valid list in lexical order of the files' names; undefined when there is none. */
  readonly chosen?: ConfFile;
  /** Valid ones after it, which are not used: a pod has one network here. */
  readonly unused: readonly string[];
  /** One sentence for each file that could not be used, or for the directory itself. */
  readonly problems: readonly string[];
}

/** Reads the directory. Never throws: what is wrong is told in `problems`. */
export async function readConfDir(directory: string): Promise<ConfDir> {
  let names: readonly string[];
  try {
    names = await confNames(directory, extensions);
  } catch (error) {
    return { unused: [], problems: [problemOf(directory, error)] };
  }
  const problems: string[] = [];
  const valid: ConfFile[] = [];
  for (const name of names) {
    const file = path.join(directory, name);
    try {
      valid.push(await readList(directory, file));
    } catch (error) {
      problems.push(problemOf(file, error));
    }
  }
  const [chosen, ...others] = valid;
  return { ...(chosen ? { chosen } : {}), unused: others.map(({ file }) => file), problems };
}

async function readList(directory: string, file: string): Promise<ConfFile> {
  const text = await readText(file);
  const inlined = parseConfList(text);
  const more = inlined.onlyInlined ? [] : await readPlugins(path.join(directory, inlined.name));
  const list = withPlugins(inlined, more);
  return { file, list, unknownFields: countUnknown(text, list) };
}

/** CNI 1.1: plugins of `<directory>/<network>/*.conf`. */
async function readPlugins(directory: string): Promise<readonly PluginConf[]> {
  let names: readonly string[];
  try {
    names = await confNames(directory, ['.conf']);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw error;
  }
  const plugins: PluginConf[] = [];
  for (const name of names) plugins.push(parsePlugin(await readText(path.join(directory, name))));
  return plugins;
}

async function confNames(directory: string, endings: readonly string[]): Promise<readonly string[]> {
  const entries: Dirent[] = await readdir(directory, { withFileTypes: true });
  const names = entries
    // Hidden ones are what editors and package managers are just writing.
    .filter(({ name }) => endings.includes(path.extname(name)) && !name.startsWith('.'))
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map(({ name }) => name)
    .sort();
  if (names.length <= maxFiles) return names;
  throw new BerthError('CONFIG_INVALID', `it has ${names.length} configurations, more than ${maxFiles}`);
}

async function readText(file: string): Promise<string> {
  return (await readBounded(file, maxBytes)).toString('utf8');
}

function problemOf(place: string, error: unknown): string {
  if (error instanceof UnfitFile) return `${place} ${error.message}`;
  return errnoOf(error) === 'ENOENT' ? `${place} does not exist` : `${place}: ${messageOf(error)}`;
}
