import path from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { checkRegistryFiles } from './check-files.ts';
import { ClientBench } from './client-bench.fixture.ts';

let bench: ClientBench;
beforeEach(async () => {
  bench = await ClientBench.open();
});
afterEach(() => bench[Symbol.asyncDispose]());

it('names every mistake and every unknown key of files that nobody has pulled with', async () => {
  await bench.hosts('a.test', '[host."https://m.test"]\nskip_verfy = true\n');
  await bench.hosts('b.test', 'capabilities = "pull"\n');
  await bench.hosts('c.test', 'ca = "gone.crt"\n');
  await bench.hosts('d.test', 'server = "https://d.test"\ncapabilities = ["pull", "resolve", "push"]\n');
  await bench.file('hosts/e.test/ca.crt', '');
  await bench.registriesConf('[[registry]]\nlocation = "a.test"\nblokced = true\n');
  await bench.file('containers/registries.conf.d/1.conf', '[[registry]\n');
  const { files, mistakes, warnings } = await checkRegistryFiles(bench.config);
  const at = (name: string): string => path.join(bench.directory, name);
  expect(files).toEqual(
    ['hosts/a.test/hosts.toml', 'hosts/c.test/hosts.toml', 'hosts/d.test/hosts.toml', 'containers/registries.conf'].map(
      at,
    ),
  );
  expect(warnings).toEqual([
    `${at('hosts/a.test/hosts.toml')}: unknown keys are passed over: host."https://m.test".skip_verfy: did you mean skip_verify?`,
    `${at('containers/registries.conf')}: unknown keys are passed over: registry[0].blokced: did you mean blocked?`,
  ]);
  expect(mistakes).toEqual([
    `${at('hosts/b.test/hosts.toml')}: capabilities is not a list of strings`,
    `certificate file ${at('hosts/c.test/gone.crt')} does not exist`,
    expect.stringContaining(at('containers/registries.conf.d/1.conf:1:')),
  ]);
});

it('finds nothing where nothing is', async () => {
  bench.configure({ hostsDirectories: ['', '/nonexistent/certs.d'], registriesConf: '/nonexistent/registries.conf' });
  expect(await checkRegistryFiles(bench.config)).toMatchObject({ files: [], mistakes: [], warnings: [] });
});
