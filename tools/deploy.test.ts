import path from 'node:path';
import { expect, test } from '@jest/globals';
import { loadConfig } from '#config/load';
import { configSchema } from '#config/schema';
import { toConfig } from '#config/slices';

test('the sample config is accepted and shows nothing but defaults, for a cluster’s network', () => {
  const file = path.join(path.dirname(import.meta.dirname), 'deploy/config.toml');
  expect(loadConfig({ file }).config).toEqual(toConfig(configSchema.parse({ network: { mode: 'cni' } })));
});
