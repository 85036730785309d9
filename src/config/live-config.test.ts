import { describe, expect, test } from '@jest/globals';
import { BerthError } from '#base/errors';
import { didYouMean } from './did-you-mean.ts';
import { LiveConfig, liveSlice } from './live-config.ts';
import type { LoadedConfig } from './load.ts';
import { configSchema } from './schema.ts';
import { toConfig } from './slices.ts';

const loaded = (file: object): LoadedConfig => {
  const values = configSchema.parse(file);
  return { values, config: toConfig(values), files: ['/etc/berth/config.toml'] };
};

function open(first: object, ...next: (object | Error)[]): LiveConfig {
  const load = (): LoadedConfig => {
    const file = next.shift() ?? first;
    if (file instanceof Error) throw file;
    return loaded(file);
  };
  return new LiveConfig({ first: loaded(first), load, now: () => new Date(0) });
}

describe('a reload', () => {
  test('takes over what is live, tells of what is not, and goes on telling', () => {
    const next = { log: { level: 'debug' }, network: { bridge: 'other0' }, root: '/other' };
    const live = open({}, next, next);
    const told: string[] = [];
    live.onChange(({ log }) => told.push(log.level));
    expect(live.reload()).toEqual({
      ...{ at: '1970-01-01T00:00:00.000Z', error: '', files: ['/etc/berth/config.toml'] },
      changes: [
        { key: 'root', from: '/var/lib/berth', to: '/other', applied: false },
        { key: 'network.bridge', from: 'berth0', to: 'other0', applied: false },
        { key: 'log.level', from: 'info', to: 'debug', applied: true },
      ],
    });
    expect(told).toEqual(['debug']);
    expect(live.current).toMatchObject({ log: { level: 'debug' }, network: { bridge: 'berth0' } });
    expect(live.reload().changes.map(({ key }) => key)).toEqual(['root', 'network.bridge']);
  });

  test('of files with a mistake changes nothing and keeps the reason', () => {
    const live = open({ log: { level: 'warn' } }, new BerthError('CONFIG_INVALID', 'unknown key log.lvl'));
    let told = 0;
    live.onChange(() => (told += 1));
    expect(live.lastReload).toBeUndefined();
    expect(live.reload()).toMatchObject({ error: 'unknown key log.lvl', changes: [] });
    expect(live.lastReload?.error).toBe('unknown key log.lvl');
    expect([told, live.current.log.level]).toEqual([0, 'warn']);
  });

  test('of lists sees what is in them', () => {
    const live = open({}, { images: { pinned: ['localhost/infra/*'] } }, { images: { pinned: ['localhost/infra/*'] } });
    expect(live.reload().changes).toMatchObject([{ key: 'images.pinned', applied: true }]);
    expect(live.reload().changes).toEqual([]);
  });
});

test('a slice that was handed out shows what came later', () => {
  const live = open({}, { timeouts: { kill: '3s' } });
  const timeouts = liveSlice(() => live.current.timeouts);
  expect(timeouts.killMs).toBe(30_000);
  live.reload();
  expect(timeouts.killMs).toBe(3000);
  expect({ ...timeouts }).toEqual(live.current.timeouts);
});

test.each([
  ['network.brigde', ': did you mean network.bridge?'],
  ['netwrok', ': did you mean network?'],
  ['rot', ': did you mean root?'],
  ['something.else', ''],
  ['bogus', ''],
  ['network.foo', ''],
  ['network.mto', ': did you mean network.mtu?'],
])('an unknown key %s is guessed: %j', (unknown, guess) => {
  expect(didYouMean(unknown)).toBe(guess);
});
