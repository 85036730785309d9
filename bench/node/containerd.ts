import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connectCri } from '#cri-api/client';
import { pauseImage } from '../images.ts';
import { pluginDir, type Prepared } from '../prepare.ts';
import type { BenchNode } from './bench-node.ts';
import { endDaemon, requireImage, waitReady, type RuntimeUnderTest } from './runtime-under-test.ts';

const socket = '/run/containerd/containerd.sock';

function config(directory: string, peers: string): string {
  const runtime = `plugins.'io.containerd.cri.v1.runtime'`;
  return `version = 3
root = "${directory}/root"
state = "/run/containerd"
[grpc]
address = "${socket}"
[ttrpc]
address = "${socket}.ttrpc"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "${pauseImage}"
[${runtime}]
# Without CAP_SYS_RESOURCE a score cannot be lowered; containerd then takes what it may.
restrict_oom_score_adj = true
[${runtime}.cni]
bin_dirs = ["${pluginDir}"]
conf_dir = "${directory}/net.d"
[${runtime}.containerd]
default_runtime_name = "runc"
[${runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[${runtime}.containerd.runtimes.runc.options]
BinaryName = "${peers}/runc"
`;
}

/** The chain of a usual node: a bridge with masquerading and hairpin, addresses by host-local, and host ports. */
const networkChain = {
  cniVersion: '1.0.0',
  name: 'bench',
  plugins: [
    {
      type: 'bridge',
      bridge: 'peer0',
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.88.0.0/16' }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: '/run/cni-addresses',
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
};

export async function startContainerd(node: BenchNode, prepared: Prepared): Promise<RuntimeUnderTest> {
  const directory = path.join(node.directory, 'containerd');
  mkdirSync(path.join(directory, 'net.d'), { recursive: true });
  writeFileSync(path.join(directory, 'config.toml'), config(directory, prepared.peers));
  writeFileSync(path.join(directory, 'net.d', '10-bench.conflist'), JSON.stringify(networkChain));
  const daemonPid = await node.startDaemon({
    name: 'containerd',
    group: 'containerd',
    command: [path.join(prepared.peers, 'containerd'), '--config', path.join(directory, 'config.toml')],
    env: { PATH: `${prepared.peers}:/usr/sbin:/usr/bin:/sbin:/bin` },
  });
  const client = connectCri(node.outside(socket));
  try {
    await waitReady(client, 30_000);
    for (const archive of [prepared.pauseArchive, prepared.workloadArchive]) {
      await node.run([path.join(prepared.peers, 'ctr'), '-a', socket, '-n', 'k8s.io', 'images', 'import', archive]);
    }
    await requireImage(client);
  } catch (error) {
    client.close();
    throw new Error(`containerd: ${(error as Error).message}\n${node.logTail('containerd')}`, { cause: error });
  }
  const { runtime_version: version } = await client.runtime.version({});
  const podParent = `/${node.name}/containerd/pods`;
  const logRoot = path.join(node.directory, 'containerd-logs');
  const stop = (): Promise<void> => endDaemon(client, daemonPid);
  return { name: 'containerd', version, client, daemonPid, group: 'containerd', podParent, logRoot, stop };
}
