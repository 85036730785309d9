import { BerthError, messageOf } from '#base/errors';
import { isOnePlugin, unknownInConfiguration } from './unknown-fields.ts';

// Network configurations as administrators write them: CNI specification 1.1, section 1.

/** What this runtime speaks, all that there have been; a list with another version is refused. */
export const supportedVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type CniVersion = (typeof supportedVersions)[number];

/** One plugin of a list, as it was written; `type` is checked. */
export type PluginConf = Readonly<Record<string, unknown>> & { readonly type: string };

export interface ConfList {
  readonly name: string;
  readonly cniVersion: CniVersion;
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  /** Whether `<directory>/<name>/*.conf` adds no plugins. */
  readonly onlyInlined: boolean;
  readonly plugins: readonly PluginConf[];
}

/** Plugins run one after another; a longer chain is a mistake. */
const maxPlugins = 32;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

export function atLeast(version: CniVersion, other: CniVersion): boolean {
  return supportedVersions.indexOf(version) >= supportedVersions.indexOf(other);
}

export function isVersion(value: unknown): value is CniVersion {
  return (supportedVersions as readonly unknown[]).includes(value);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A list (`*.conflist`), or one plugin (`*.conf`) as a list of itself; `*.json` may be either.
 *
 * @throws CONFIG_INVALID; the sentence does not name the file
 */
export function parseConfList(text: string): ConfList {
  const file = parseObject(text);
  const name = checkName(file['name']);
  const cniVersion = chooseVersion(file);
  const onlyInlined = flag(file, 'loadOnlyInlinedPlugins');
  const plugins = isOnePlugin(file) ? [checkPlugin(file)] : listed(file['plugins'] ?? []);
  return {
    ...{ name, cniVersion, onlyInlined, plugins },
    disableCheck: flag(file, 'disableCheck'),
    disableGC: flag(file, 'disableGC'),
  };
}

/** How many fields of a file that was read, and of what the list's plugins declare, nobody here knows. */
export function countUnknown(text: string, { plugins }: ConfList): number {
  return unknownInConfiguration(parseObject(text), plugins);
}

/** One plugin from a file of its own. @throws CONFIG_INVALID */
export function parsePlugin(text: string): PluginConf {
  return checkPlugin(parseObject(text));
}

/** The list with the plugins of `<directory>/<name>/*.conf` after its own. @throws CONFIG_INVALID */
export function withPlugins(list: ConfList, more: readonly PluginConf[]): ConfList {
  const plugins = [...list.plugins, ...more];
  if (plugins.length === 0) throw invalid('it has no plugins');
  if (plugins.length > maxPlugins) throw invalid(`it has ${plugins.length} plugins, more than ${maxPlugins}`);
  return { ...list, plugins };
}

/** Whether the plugin wants to be told of this capability. */
export function hasCapability(plugin: PluginConf, name: string): boolean {
  const capabilities = plugin['capabilities'];
  return isObject(capabilities) && capabilities[name] === true;
}

/** Programs that a list runs. */
export function programsOf({ plugins }: ConfList): readonly string[] {
  return [...new Set(plugins.map(({ type }) => type))];
}

/** What plugins ask for addresses. A program, or a word that the plugin itself understands: nobody else can tell. */
export function addressersOf({ plugins }: ConfList): readonly string[] {
  const types = plugins.map(({ ipam }) => (isObject(ipam) ? ipam['type'] : undefined));
  return [...new Set(types.filter((type): type is string => typeof type === 'string' && type !== ''))];
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    // Some editors begin a file with a byte order mark.
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw invalid(`it is not JSON: ${messageOf(error)}`, error);
  }
  if (isObject(value)) return value;
  throw invalid('it is not a JSON object');
}

function checkName(value: unknown): string {
  if (typeof value === 'string' && namePattern.test(value)) return value;
  throw invalid('"name" has to be letters, digits, "_", "." and "-", and to begin with a letter or digit');
}

/** The newest one it offers that is known here. The first version had no such key. */
function chooseVersion(file: Record<string, unknown>): CniVersion {
  const { cniVersion: one = '', cniVersions: more = [] } = file;
  if (!Array.isArray(more) || !more.every((version) => typeof version === 'string')) {
    throw invalid('"cniVersions" is not a list of versions');
  }
  const offered: unknown[] =
    one === '' && more.length > 0 ? more : [one === '' ? '0.1.0' : one, ...(more as unknown[])];
  const known = supportedVersions.filter((version) => offered.includes(version)).at(-1);
  if (known !== undefined) return known;
  const said = offered.map((version) => JSON.stringify(version)).join(', ');
  throw invalid(`"cniVersion" is ${said.slice(0, 100)}, not one of ${supportedVersions.join(', ')}`);
}

function listed(value: unknown): readonly PluginConf[] {
  if (!Array.isArray(value)) throw invalid('"plugins" is not a list');
  return value.map((plugin: unknown, at) => {
    if (isObject(plugin)) return checkPlugin(plugin);
    throw invalid(`plugin ${at + 1} is not a JSON object`);
  });
}

function checkPlugin(plugin: Record<string, unknown>): PluginConf {
  const { type, capabilities = {} } = plugin;
  // The name of a program in one of the directories: no way out of them.
  if (typeof type !== 'string' || type === '' || type === '.' || type === '..' || /[/\0]/.test(type)) {
    throw invalid(`the "type" of a plugin has to be the name of a program, not ${JSON.stringify(type)?.slice(0, 100)}`);
  }
  const areFlags = isObject(capabilities) && Object.values(capabilities).every((value) => typeof value === 'boolean');
  if (!areFlags) throw invalid(`the "capabilities" of plugin ${type} have to be names, each with true or false`);
  return { ...plugin, type };
}

function flag(file: Record<string, unknown>, name: string): boolean {
  const value = file[name] ?? false;
  // The specification's older texts allow both.
  const word = typeof value === 'string' ? value.toLowerCase() : value;
  if (word === true || word === 'true') return true;
  if (word === false || word === 'false') return false;
  throw invalid(`"${name}" has to be true or false`);
}

function invalid(message: string, cause?: unknown): BerthError {
  return new BerthError('CONFIG_INVALID', message, cause === undefined ? {} : { cause });
}
