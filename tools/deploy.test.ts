import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'smol-toml';
import { describeConfig } from '#config/describe';
import { loadConfig } from '#config/load';
import { configSchema } from '#config/schema';
import { toConfig } from '#config/slices';
import { configSample } from './config-sample.ts';

const top = path.dirname(import.meta.dirname);
const read = (name: string): string => readFileSync(path.join(top, 'deploy', name), 'utf8');

describe('the sample config', () => {
  const file = path.join(top, 'deploy/config.toml');

  test('is what `npm run gen` makes of the schema', () => {
    expect(read('config.toml')).toBe(configSample());
  });

  test('is accepted and shows nothing but defaults, for a cluster’s network', () => {
    expect(loadConfig({ file }).config).toEqual(toConfig(configSchema.parse({ network: { mode: 'cni' } })));
  });

  test('is accepted with every line uncommented, and has every key of the schema', () => {
    const values = parse(read('config.toml').replace(/^# (?=\w+ = )/gm, '')) as Record<string, Record<string, unknown>>;
    expect(configSchema.parse(values)).toEqual(configSchema.parse({ network: { mode: 'cni' } }));
    for (const { group, keys } of describeConfig()) {
      const table = group === '' ? values : values[group];
      for (const { key } of keys) expect(table).toHaveProperty([key]);
    }
  });
});

describe('the unit', () => {
  const settings = new Map(
    read('berthd.service')
      .split('\n')
      .filter((line) => /^\w+=/.test(line))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );

  test.each([
    ['Type', 'notify'],
    ['KillMode', 'process'],
    ['Delegate', 'yes'],
    ['Restart', 'always'],
    ['StartLimitIntervalSec', '0'],
    ['OOMScoreAdjust', '-999'],
    ['LimitNOFILE', '1024:524288'],
    ['LimitCORE', '0:infinity'],
    ['TasksMax', 'infinity'],
    ['ExecReload', '/bin/kill -HUP $MAINPID'],
    ['ExecStart', '/opt/berth/deploy/berthd'],
  ])('says %s=%s', (name, value) => {
    expect(settings.get(name)).toBe(value);
  });

  test('gives the watchdog more time than any call takes that blocks', () => {
    expect(Number(settings.get('WatchdogSec'))).toBeGreaterThanOrEqual(60);
    expect(Number(settings.get('RestartSec'))).toBeLessThanOrEqual(5);
  });
});

test('the start script loads what gives Node’s loops watches of their own, into Node alone', () => {
  expect(read('berthd')).toContain('set -- LD_PRELOAD="$preload" "$node" ');
});

test('crictl finds the default socket of both services', () => {
  const socket = toConfig(configSchema.parse({})).paths.socket;
  expect(read('crictl.yaml')).toContain(`runtime-endpoint: unix://${socket}\nimage-endpoint: unix://${socket}\n`);
});

test('the start script lets through what systemd says to a service', () => {
  expect(read('berthd')).toMatch(/for name in[^;]* NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID /);
});

test('the start script lets through the variables of proxies in lower case, which docs/registries.md says count', () => {
  const [, names = ''] = /for name in ([^;]*);/.exec(read('berthd')) ?? [];
  const proxies = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];
  expect(names.split(/[\s\\]+/)).toEqual(expect.arrayContaining(proxies));
});
