import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connectCri } from '#cri-api/client';
import { MissingError, repository, type Prepared } from '../prepare.ts';
import type { BenchNode } from './bench-node.ts';
import { berthSteps } from './berth-steps.ts';
import { endDaemon, requireImage, waitReady, type RuntimeUnderTest } from './runtime-under-test.ts';

const run = '/run/berth';

function config(node: BenchNode, directory: string): string {
  return `root = "${directory}/root"
run = "${run}"
[metrics]
address = ""
[network]
mode = "builtin"
[cgroup]
default_parent = "/${node.name}/berth/pods"
shim_parent = "/${node.name}/berth/shims"
[log]
level = "${process.env['BERTH_BENCH_LOG'] ?? 'info'}"
`;
}

/** The command of deploy/berthd, whose explicit environment lets no profiler in, is written out for a profile. */
function command(configFile: string, cpuProfile: string | undefined): readonly string[] {
  if (cpuProfile === undefined) return [path.join(repository, 'deploy', 'berthd'), '--config', configFile];
  mkdirSync(cpuProfile, { recursive: true });
  const flags = ['--optimize-for-size', '--max-semi-space-size=2', '--enable-source-maps'];
  const profile = ['--cpu-prof', '--cpu-prof-interval=200', `--cpu-prof-dir=${path.resolve(cpuProfile)}`];
  return [process.execPath, ...flags, ...profile, path.join(repository, 'build/src/main.js'), '--config', configFile];
}

export async function startBerth(
  node: BenchNode,
  prepared: Prepared,
  cpuProfile: string | undefined,
): Promise<RuntimeUnderTest> {
  if (!existsSync(path.join(repository, 'build/src/main.js'))) throw new MissingError('Berth is not built: make build');
  const directory = path.join(node.directory, 'berth');
  mkdirSync(directory, { recursive: true });
  const configFile = path.join(directory, 'config.toml');
  writeFileSync(configFile, config(node, directory));
  const daemonPid = await node.startDaemon({
    name: 'berth',
    group: 'berth',
    command: command(configFile, cpuProfile),
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '4' },
  });
  const client = connectCri(node.outside(`${run}/berth.sock`));
  try {
    await waitReady(client, 30_000);
    const berth = [path.join(repository, 'deploy', 'berth'), '--admin-socket', `${run}/admin.sock`];
    await node.run([...berth, 'load', prepared.workloadArchive]);
    await requireImage(client);
  } catch (error) {
    client.close();
    throw new Error(`berthd: ${(error as Error).message}\n${node.logTail('berth')}`, { cause: error });
  }
  const { runtime_version: version } = await client.runtime.version({});
  const podParent = `/${node.name}/berth/pods`;
  const logRoot = path.join(node.directory, 'berth-logs');
  const stop = (): Promise<void> => endDaemon(client, daemonPid);
  const steps = (podId: string): ReturnType<typeof berthSteps> => berthSteps(node.outside(`${run}/admin.sock`), podId);
  return { name: 'berth', version, client, daemonPid, group: 'berth', podParent, logRoot, steps, stop };
}
