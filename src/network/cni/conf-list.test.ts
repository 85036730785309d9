import { describe, expect, test } from '@jest/globals';
import { addressersOf, parseConfList, parsePlugin, programsOf, withPlugins } from './conf-list.ts';

const parse = (value: unknown) => parseConfList(JSON.stringify(value));
const plugin = { type: 'bridge' };

describe('parseConfList', () => {
  test('reads a list', () => {
    const conf = { cniVersion: '1.0.0', name: 'n', disableCheck: true, plugins: [{ ...plugin, mtu: 1400 }] };
    expect(parse(conf)).toEqual({
      ...{ name: 'n', cniVersion: '1.0.0', disableCheck: true, disableGC: false, onlyInlined: false },
      plugins: [{ type: 'bridge', mtu: 1400 }],
    });
  });

  test('reads one plugin as a list of itself', () => {
    const conf = { cniVersion: '0.3.1', name: 'n', type: 'ptp', mtu: 9000 };
    expect(parse(conf)).toMatchObject({ name: 'n', cniVersion: '0.3.1', plugins: [conf] });
  });

  test('takes the newest version that both know', () => {
    expect(
      parse({ cniVersion: '0.4.0', cniVersions: ['1.1.0', '2.0.0', '1.0.0'], name: 'n', ...plugin }),
    ).toMatchObject({
      cniVersion: '1.1.0',
    });
  });

  test.each([
    ['a configuration without a version', {}, '0.1.0'],
    ['one with an empty version', { cniVersion: '' }, '0.1.0'],
    ...['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'].map(
      (version) => [`version ${version}`, { cniVersion: version }, version] as const,
    ),
    ['one that has only the list of versions', { cniVersions: ['0.4.0', '0.3.1'] }, '0.4.0'],
  ])('takes %s', (_what, versions, cniVersion) => {
    expect(parse({ name: 'n', ...versions, ...plugin })).toMatchObject({ cniVersion });
    expect(parse({ name: 'n', ...versions, plugins: [plugin] })).toMatchObject({ cniVersion });
  });

  test.each([
    ['true', true],
    ['True', true],
    ['false', false],
    [null, false],
  ])('takes the flag %j for %j', (given, taken) => {
    const flags = { disableCheck: given, disableGC: given, loadOnlyInlinedPlugins: given };
    expect(parse({ name: 'n', plugins: [plugin], ...flags })).toMatchObject({
      ...{ disableCheck: taken, disableGC: taken, onlyInlined: taken },
    });
  });

  test('reads past a byte order mark', () => {
    expect(parseConfList(`\uFEFF${JSON.stringify({ name: 'n', ...plugin })}`).name).toBe('n');
  });

  test('takes a list that has all of its plugins in files of their own', () => {
    expect(parse({ cniVersion: '1.1.0', name: 'n' })).toMatchObject({ plugins: [], onlyInlined: false });
  });

  test.each([
    ['no JSON', '{', 'it is not JSON'],
    ['no object', '[]', 'it is not a JSON object'],
    ['no name', { cniVersion: '1.0.0', ...plugin }, '"name" has to be'],
    ['a name with a way out', { cniVersion: '1.0.0', name: '../x', ...plugin }, '"name" has to be'],
    ['a version to come', { cniVersion: '2.0.0', name: 'n', ...plugin }, '"cniVersion" is "2.0.0", not one of 0.1.0'],
    ['a version that is none', { cniVersion: 1, name: 'n', ...plugin }, '"cniVersion" is 1, not one of'],
    ['versions to come', { cniVersions: ['1.2.0'], name: 'n', ...plugin }, '"cniVersion" is "1.2.0", not one of'],
    ['versions that are no list', { cniVersions: '1.0.0', name: 'n', ...plugin }, '"cniVersions" is not a list'],
    [
      'capabilities that are no flags',
      { name: 'n', ...plugin, capabilities: { dns: 'true' } },
      '"capabilities" of plugin bridge',
    ],
    ['comments', '{ "name": "n", // the network\n "type": "bridge" }', 'it is not JSON'],
    ['plugins that are none', { cniVersion: '1.0.0', name: 'n', plugins: {} }, '"plugins" is not a list'],
    [
      'a plugin that is none',
      { cniVersion: '1.0.0', name: 'n', plugins: [plugin, 1] },
      'plugin 2 is not a JSON object',
    ],
    ['a plugin without a type', { cniVersion: '1.0.0', name: 'n', plugins: [{}] }, '"type" of a plugin'],
    ['a plugin of another type', { cniVersion: '1.0.0', name: 'n', type: 1 }, '"type" of a plugin'],
    ['a plugin elsewhere', { cniVersion: '1.0.0', name: 'n', plugins: [{ type: '../sh' }] }, '"type" of a plugin'],
    ['a flag that is none', { cniVersion: '1.0.0', name: 'n', ...plugin, disableGC: 1 }, '"disableGC" has to be'],
  ])('refuses %s', (_what, conf, why) => {
    const text = typeof conf === 'string' ? conf : JSON.stringify(conf);
    expect(() => parseConfList(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => parseConfList(text)).toThrow(why);
  });
});

describe('withPlugins', () => {
  const list = parse({ cniVersion: '1.1.0', name: 'n', loadOnlyInlinedPlugins: false });

  test('adds those of other files after the list’s own', () => {
    const more = withPlugins(list, [parsePlugin('{"type": "a"}'), parsePlugin('{"type": "b"}')]);
    expect(more.plugins.map(({ type }) => type)).toEqual(['a', 'b']);
  });

  test('refuses none, and far too many', () => {
    expect(() => withPlugins(list, [])).toThrow('it has no plugins');
    expect(() =>
      withPlugins(
        list,
        Array.from({ length: 33 }, () => plugin),
      ),
    ).toThrow('more than 32');
  });
});

test('the programs of a list are its plugins, each once; what they ask for addresses may be none', () => {
  const ipam = { type: 'host-local' };
  const plugins = [{ type: 'bridge', ipam }, { type: 'ptp', ipam }, { type: 'bridge' }, { type: 'macvlan', ipam: {} }];
  const list = parse({ cniVersion: '1.0.0', name: 'n', plugins });
  expect(programsOf(list)).toEqual(['bridge', 'ptp', 'macvlan']);
  expect(addressersOf(list)).toEqual(['host-local']);
});
