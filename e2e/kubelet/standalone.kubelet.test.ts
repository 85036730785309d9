import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from '../harness/berthd.ts';
import { busyboxLayer } from '../harness/image-archive.ts';
import { buildImage } from '../harness/made-image.ts';
import { Registry } from '../harness/registry.ts';
import { eventually } from '../harness/wait.ts';
import { ownFault } from './known-errors.ts';
import { kubeletStream } from './kubelet-stream.ts';
import { Kubelet, type KubeletPod, prepareForKubelet } from './kubelet.ts';
import * as manifests from './manifests.ts';

// A real kubelet, as on a node without an API server: what it makes of Berth is what Kubernetes makes of it.

let berthd: Berthd;
let kubelet: Kubelet;
let registry: Registry;
beforeAll(async () => {
  berthd = await startBerthd({ logLevel: 'info', prepare: prepareForKubelet });
  await berthd.loadBusybox();
  kubelet = new Kubelet(berthd.node, berthd.socket);
  kubelet.makeCgroups();
  registry = await Registry.start(berthd.node);
  await registry.push('app/busybox:1', buildImage({ layers: [busyboxLayer], format: 'oci', compression: 'gzip' }));
  await kubelet.start();
});
afterAll(async () => {
  await kubelet.stop();
  await registry.close();
  kubelet.removeCgroups();
  await berthd.teardown();
}, 120_000);

const steady = [manifests.probedPod, manifests.talkingPod, manifests.composedPod, manifests.hostNetworkPod];

const isReady = (pod: KubeletPod): boolean =>
  pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

/** Who runs, since when, and how often it was begun anew. */
async function snapshot(): Promise<unknown> {
  const pods = await Promise.all(steady.map(({ metadata }) => kubelet.pod(metadata.name)));
  return pods.map(({ metadata, status }) => ({
    name: metadata.name,
    ip: status.podIP,
    containers: status.containerStatuses?.map(({ name, containerID, restartCount, state }) => ({
      ...{ name, containerID, restartCount, running: state.running?.startedAt },
    })),
  }));
}

describe('the kubelet', () => {
  test('finds a runtime that is ready, and takes over its cgroup driver', async () => {
    await eventually('the node is synced', async () => (await kubelet.text('/healthz')) === 'ok');
    expect(kubelet.log).toMatch(/cgroupDriver="?cgroupfs/);
    expect(kubelet.log).not.toMatch(/Container runtime network not ready/);
  });

  test('starts static pods, whose http, tcp and exec probes succeed', async () => {
    for (const pod of steady) kubelet.apply(pod);
    for (const { metadata } of steady) {
      await eventually(`pod ${metadata.name} is ready`, async () => isReady(await kubelet.pod(metadata.name)), 60_000);
    }
    const { containerStatuses = [] } = (await kubelet.pod('probed')).status;
    expect(containerStatuses.map(({ ready, restartCount }) => ({ ready, restartCount }))).toEqual(
      Array(3).fill({ ready: true, restartCount: 0 }),
    );
  });

  test('gives init containers, a sidecar, volumes, variables and hooks', async () => {
    const logs = await kubelet.text(`/containerLogs/default/composed-berth-node/main`);
    expect(logs).toBe(`one\nside\ncomposed-berth-node ${32 * 1024 * 1024}\n`);
    await eventually(
      'the hook ran',
      async () => (await kubelet.run('composed', 'main', 'cat /tmp/hook')) === 'hooked\n',
    );
    expect(await kubelet.run('composed', 'main', 'id -u')).toBe('1000\n');
    expect((await kubelet.container('composed', 'first')).state.terminated).toMatchObject({
      exitCode: 0,
      reason: 'Completed',
    });
    expect((await kubelet.container('composed', 'sidecar')).state.running).toBeDefined();
  });

  test('reaches pods by their addresses', async () => {
    const { podIP } = (await kubelet.pod('probed')).status;
    const answer = await berthd.node.run(['curl', '-s', `http://${podIP}:8080/health`]);
    expect(answer.stdout).toBe('fine\n');
    const onHost = await berthd.node.run(['curl', '-s', 'http://127.0.0.1:18080/name']);
    expect(onHost.stdout).toBe('host\n');
  });

  test('restarts what crashes, and tells how it ended', async () => {
    kubelet.apply(manifests.crashingPod);
    const crashed = await eventually(
      'the container was restarted twice',
      async () => {
        const container = await kubelet.container('crashing', 'main');
        return container.restartCount >= 2 && container;
      },
      60_000,
    );
    expect(crashed.lastState.terminated).toMatchObject({ exitCode: 3, reason: 'Error' });
    const previous = await eventually('the log of the run before', () =>
      kubelet.text('/containerLogs/default/crashing-berth-node/main?previous=true'),
    );
    expect(previous).toBe('started\n');
    kubelet.withdraw('crashing');
  });

  test('restarts what fails its http, tcp or exec probe', async () => {
    kubelet.apply(manifests.failingPod);
    for (const name of ['exec', 'http', 'tcp']) {
      await eventually(
        `container ${name} was restarted`,
        async () => (await kubelet.container('failing', name)).restartCount >= 1,
        60_000,
      );
    }
    kubelet.withdraw('failing');
  });

  test('tells a container that took too much memory from others', async () => {
    kubelet.apply(manifests.greedyPod);
    const ended = await eventually(
      'the container was ended',
      async () => (await kubelet.container('greedy', 'main')).state.terminated,
      60_000,
    );
    expect(ended).toMatchObject({ reason: 'OOMKilled', exitCode: 137 });
    kubelet.withdraw('greedy');
  });

  test('rotates logs and loses no line', async () => {
    const directory = path.join(kubelet.logsDirectory, await logDirectoryOf('talking'), 'main');
    await eventually('the log was rotated', () => readdirSync(directory).length >= 3, 60_000);
    const numbers = readdirSync(directory)
      .filter((name) => !name.endsWith('.gz') && !name.endsWith('.tmp'))
      .sort((one, other) => (one === '0.log' ? 1 : other === '0.log' ? -1 : one < other ? -1 : 1))
      .flatMap((name) => [...readFileSync(path.join(directory, name), 'utf8').matchAll(/ F line (\d+)$/gm)])
      .map(([, number]) => Number(number));
    expect(numbers.length).toBeGreaterThan(100);
    const first = numbers[0] ?? 0;
    expect(numbers).toEqual(numbers.map((_, at) => first + at));
  });

  test('pulls images, and leads a port of the node to a pod', async () => {
    kubelet.apply(manifests.pulledPod(`${registry.host}/app/busybox:1`));
    await eventually('the pod is ready', async () => isReady(await kubelet.pod('pulled')), 60_000);
    const answer = await berthd.node.run(['curl', '-s', 'http://10.66.0.1:18081/name']);
    expect(answer.stdout).toBe('pulled\n');
    kubelet.withdraw('pulled');
  });

  test('hands the streams of an exec on to the runtime', async () => {
    const pod = 'default/probed-berth-node';
    const line = encodeURIComponent('read x; echo "got $x"; echo err >&2; exit 5');
    const command = `command=sh&command=-c&command=${line}`;
    const exec = await kubeletStream(registry.sockets, `/exec/${pod}/exec?${command}&input=1&output=1&error=1`, 'in\n');
    expect(exec).toEqual({ stdout: 'got in\n', stderr: 'err\n', exitCode: 5 });
  });

  test('shows statistics that come from the runtime', async () => {
    const isThere = async (): Promise<boolean> => {
      const summary = (await kubelet.get('/stats/summary')) as StatsSummary;
      const pod = summary.pods.find(({ podRef }) => podRef.name === 'probed-berth-node');
      const http = pod?.containers.find(({ name }) => name === 'http');
      return (http?.memory?.workingSetBytes ?? 0) > 0 && (http?.cpu?.usageCoreNanoSeconds ?? 0) > 0;
    };
    await eventually('statistics of the pod', isThere, 30_000);
  });
});

interface StatsSummary {
  readonly pods: readonly {
    readonly podRef: { readonly name: string };
    readonly containers: readonly {
      readonly name: string;
      readonly cpu?: { readonly usageCoreNanoSeconds?: number };
      readonly memory?: { readonly workingSetBytes?: number };
    }[];
  }[];
}

describe('a restart changes nothing', () => {
  test('of the kubelet', async () => {
    const before = await snapshot();
    await kubelet.stop('SIGKILL');
    await kubelet.start();
    await eventually('all pods are ready again', async () => (await allReady()) || undefined, 60_000);
    expect(await snapshot()).toEqual(before);
  });

  test('of berthd', async () => {
    const before = await snapshot();
    await berthd.kill9();
    await berthd.start();
    await eventually('all pods are ready again', async () => (await allReady()) || undefined, 60_000);
    expect(await snapshot()).toEqual(before);
    // It may wait a moment before it connects again.
    const again = (): Promise<string> => kubelet.run('probed', 'exec', 'echo again');
    expect(await eventually('an exec by the kubelet', again, 20_000)).toBe('again\n');
  });
});

async function allReady(): Promise<boolean> {
  const pods = await Promise.all(steady.map(({ metadata }) => kubelet.pod(metadata.name)));
  return pods.every(isReady);
}

/** The kubelet calls a pod's log directory by namespace, name and uid. */
async function logDirectoryOf(name: string): Promise<string> {
  const { metadata } = await kubelet.pod(name);
  const found = readdirSync(kubelet.logsDirectory).find((directory) =>
    directory.startsWith(`default_${metadata.name}_`),
  );
  if (found === undefined || !existsSync(path.join(kubelet.logsDirectory, found))) {
    throw new Error(`no log directory of pod ${name} in ${kubelet.logsDirectory}`);
  }
  return found;
}

describe('at the end', () => {
  test('pods without a manifest go, with everything that was theirs', async () => {
    for (const { metadata } of steady) kubelet.withdraw(metadata.name);
    await eventually('the kubelet has no pods', async () => (await kubelet.pods()).length === 0, 60_000);
    const running = async (): Promise<number> =>
      (await berthd.cri.runtime.listContainers({ filter: { state: { state: 'CONTAINER_RUNNING' } } })).containers
        .length;
    await eventually('nothing runs', async () => (await running()) === 0, 60_000);
    await eventually('volumes and directories of pods are gone', () => kubelet.podDirectories().length === 0, 60_000);
    expect(await berthd.strays()).toEqual([]);
  });

  test('the kubelet wrote no error that another runtime would have spared it', () => {
    expect(kubelet.errors().filter(ownFault)).toEqual([]);
  });
});
