import { describe, expect, it } from '@jest/globals';
import { parseRegistriesConf, rewrite, ruleFor } from './registries-conf.ts';

const parse = (text: string) => parseRegistriesConf(text, '/etc/containers/registries.conf');

describe('parseRegistriesConf', () => {
  it('reads registries and their mirrors', () => {
    expect(
      parse(`
        unqualified-search-registries = ["somewhere.test"]
        short-name-mode = "enforcing"
        [[registry]]
        prefix = "a.test/team"
        location = "b.test/other/"
        insecure = true
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "m1.test"
        [[registry.mirror]]
        location = "m2.test:5000/x"
        insecure = true
        pull-from-mirror = "tag-only"
        [[registry]]
        location = "c.test"
        blocked = true
      `),
    ).toEqual([
      {
        ...{ prefix: 'a.test/team', location: 'b.test/other', insecure: true, blocked: false },
        mirrors: [
          { location: 'm1.test', insecure: false, pulls: 'digest-only' },
          { location: 'm2.test:5000/x', insecure: true, pulls: 'tag-only' },
        ],
      },
      { prefix: 'c.test', location: 'c.test', insecure: false, blocked: true, mirrors: [] },
    ]);
  });

  it('tells the keys that it does not know, and none of registries.conf(5)', () => {
    const told: string[] = [];
    const tell = (keys: readonly string[]): void => void told.push(...keys);
    parseRegistriesConf(
      `registires = 1
      [[registry]]
      location = "a.test"
      insecur = true
      [[registry.mirror]]
      location = "m.test"
      "pull-from-miror" = "all"
      `,
      '/r.conf',
      tell,
    );
    expect(told).toEqual([
      'registires: did you mean registry?',
      'registry[0].insecur: did you mean insecure?',
      'registry[0].mirror[0].pull-from-miror: did you mean pull-from-mirror?',
    ]);
    told.length = 0;
    parseRegistriesConf(
      `unqualified-search-registries = []
      short-name-mode = "disabled"
      credential-helpers = []
      additional-layer-store-auth-helper = ""
      [[registry]]
      prefix = "a.test"
      location = "a.test"
      blocked = false
      insecure = false
      mirror-by-digest-only = false
      [[registry.mirror]]
      location = "m.test"
      insecure = false
      pull-from-mirror = "all"
      [aliases]
      a = "b.test/a"
      `,
      '/r.conf',
      tell,
    );
    expect(told).toEqual([]);
  });

  it.each([
    ['[registries.search]\nregistries = []', 'version 1'],
    ['[[registry]]\nblocked = true', 'prefix'],
    ['[[registry]]\nlocation = "https://a.test"', 'location'],
    ['[[registry]]\nlocation = "a.test"\ninsecure = 1', 'insecure'],
    ['[[registry]]\nlocation = "a.test"\n[[registry.mirror]]\ninsecure = true', 'location'],
    [
      '[[registry]]\nlocation = "a.test"\n[[registry.mirror]]\nlocation = "m"\npull-from-mirror = "never"',
      'pull-from-mirror',
    ],
    ['registry = 1', 'registry'],
    ['[[registry]', 'registries.conf:1:'],
  ])('refuses %j', (text, named) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(named) }),
    );
  });
});

describe('ruleFor', () => {
  const rules = parse(
    ['a.test', 'a.test/team', 'a.test/team/app:1', '*.w.test', '*.test', 'x.w.test', 'a.test:5000']
      .map((prefix) => `[[registry]]\nprefix = "${prefix}"\n`)
      .join(''),
  );

  it.each([
    ['a.test/app:1', 'a.test'],
    ['a.test/team/app:2', 'a.test/team'],
    ['a.test/team/app:1', 'a.test/team/app:1'],
    ['a.test/teamwork:1', 'a.test'],
    ['a.test:5000/app:1', 'a.test:5000'],
    ['a.test:6000/app:1', '*.test'],
    ['y.w.test/app:1', '*.w.test'],
    ['y.z.w.test:99/app:1', '*.w.test'],
    ['x.w.test/app:1', 'x.w.test'],
    ['w.test/app:1', '*.test'],
    ['elsewhere.org/app:1', undefined],
    ['org/a.test/app:1', undefined],
  ])('for %s is %s', (name, prefix) => {
    expect(ruleFor(rules, name)?.prefix).toBe(prefix);
  });

  it('takes the later of two with the same prefix: a drop-in overrides', () => {
    const twice = parse('[[registry]]\nlocation = "a.test"\nblocked = true\n[[registry]]\nlocation = "a.test"\n');
    expect(ruleFor(twice, 'a.test/app:1')?.blocked).toBe(false);
  });
});

it.each([
  ['a.test/team/app', 'a.test/team', 'b.test/x', 'b.test/x/app'],
  ['a.test/team/app', 'a.test', 'b.test', 'b.test/team/app'],
  ['y.w.test/team/app', '*.w.test', 'b.test/x', 'b.test/x/team/app'],
  ['a.test/app', 'a.test', '', 'a.test/app'],
])('rewrites %s from %s to %s as %s', (name, prefix, location, result) => {
  expect(rewrite(name, prefix, location)).toBe(result);
});
