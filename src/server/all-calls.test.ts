import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock } from '#base/clock';
import { silentLogger } from '#base/log';
import { createMetrics } from '#base/metrics';
import { connectCri, type CriClient } from '#cri-api/client';
import type { ContainerEventResponse__Output } from '#cri-api/gen/runtime/v1/ContainerEventResponse';
import { FakeNode, runningContainer, until, type TestSandboxes } from '#sandbox/sandboxes.fixture';
import { bindService } from './bind-service.ts';
import { callPolicies, type CriCall } from './call-policies.ts';
import { loadCriProto } from './cri-proto.ts';
import { recordingLog, type LogLine } from './cri-server.fixture.ts';
import { CriServer } from './cri-server.ts';
import { CallHandler } from './handle-call.ts';
import { imageService } from './image-service/image-service.ts';
import { ReadyGate } from './ready-gate.ts';
import { runtimeService } from './runtime-service/runtime-service.ts';
import { connectionMetrics } from './served-connections.ts';
import type { StreamOffer } from './streaming/offers.ts';
import { unimplemented } from './unimplemented.ts';

// Both services with real sandboxes on a unix socket; below them a runtime, network and images without a kernel.

const directory = mkdtempSync(path.join(tmpdir(), 'berth-calls-'));
let server: CriServer;
let client: CriClient;
let it: TestSandboxes;
const lines: LogLine[] = [];

beforeAll(async () => {
  const node = new FakeNode();
  it = await node.start();
  const proto = loadCriProto();
  const gate = new ReadyGate();
  gate.open();
  const calls = new CallHandler({
    gate,
    log: recordingLog(lines),
    metrics: createMetrics(),
    clock: systemClock,
    fullDisks: () => '',
  });
  const runtimeDeps = {
    sandboxes: it.sandboxes,
    images: node.images,
    gate,
    clock: systemClock,
    version: '1.2.3',
    bootId: 'boot-1',
    features: it.runtime.features,
    runtimeHandlers: ['', 'berth'],
    networkStatus: () => node.network.status(),
    streams: { urlOf: ({ kind }: StreamOffer) => `http://127.0.0.1:1/${kind}/token` },
    config: () => ({ root: '/var/lib/berth' }),
  };
  const imageDeps = {
    ...{ images: node.images, clock: systemClock, runtimeHandlers: ['', 'berth'] },
    writableLayers: () => it.sandboxes.stats.writableLayers(),
  };
  const socket = path.join(directory, 'run/berth.sock');
  server = await CriServer.start({
    socket,
    services: [
      bindService(proto.RuntimeService.service, runtimeService, runtimeDeps, calls),
      bindService(proto.ImageService.service, imageService, imageDeps, calls),
    ],
    allowPeer: () => true,
    log: silentLogger,
    clock: systemClock,
    config: { maxConnections: 16, idleTimeoutMs: 60_000 },
    connectionMetrics: connectionMetrics(createMetrics()),
  });
  client = connectCri(socket);
});

afterAll(async () => {
  client.close();
  await server.close(100);
  rmSync(directory, { recursive: true });
});

type Streams = Record<string, (request: object) => grpc.ClientReadableStream<object>>;

/** Everything a stream has. */
async function all(stream: grpc.ClientReadableStream<object>): Promise<object[]> {
  const messages: object[] = [];
  for await (const message of stream) messages.push(message as object);
  return messages;
}

async function callByName(name: CriCall): Promise<string> {
  const lower = name.charAt(0).toLowerCase() + name.slice(1);
  const proto = loadCriProto();
  const inImages = name in proto.ImageService.service;
  const raw = (inImages ? client.rawImages : client.rawRuntime) as unknown as Streams;
  const unary = (inImages ? client.images : client.runtime) as unknown as Record<
    string,
    (r: object) => Promise<object>
  >;
  const services = { ...proto.RuntimeService.service, ...proto.ImageService.service } as grpc.ServiceDefinition;
  try {
    if (services[name]?.responseStream) {
      const stream = raw[lower]?.call(raw, {});
      if (!stream) throw new Error(`no ${lower}`);
      // This one lasts until its caller goes.
      if (name === 'GetContainerEvents') setTimeout(() => stream.cancel(), 50);
      await all(stream);
    } else {
      await unary[lower]?.({});
    }
    return 'OK';
  } catch (error) {
    const { status, code } = error as { status?: string; code?: number };
    return status ?? (code === 12 ? 'UNIMPLEMENTED' : `code ${code}`);
  }
}

describe('all 43 calls', () => {
  test('exactly those of the table answer UNIMPLEMENTED', async () => {
    const names = Object.keys(callPolicies) as CriCall[];
    expect(names).toHaveLength(43);
    const refused: string[] = [];
    for (const name of names) {
      if ((await callByName(name)) === 'UNIMPLEMENTED') refused.push(name);
    }
    expect(refused.sort()).toEqual(Object.keys(unimplemented).sort());
  });
});

const podConfig = {
  metadata: { name: 'web', uid: 'u1', namespace: 'default', attempt: 3 },
  labels: { app: 'web', toString: 'a label' },
  annotations: { 'example.org/é': 'ünïcode' },
  linux: { security_context: { namespace_options: { pid: 'CONTAINER' as const } } },
};

const containerConfig = {
  metadata: { name: 'app', attempt: 1 },
  image: { image: 'localhost/busybox:latest' },
  command: ['sleep'],
  envs: [{ key: 'BYTES', value: Buffer.from([0xff, 0xfe]) }],
  labels: { tier: 'back' },
  mounts: [{ container_path: '/data', host_path: '/srv/data', readonly: true }],
  linux: {
    resources: { memory_limit_in_bytes: '9007199254740993' },
    security_context: { apparmor: { profile_type: 'RuntimeDefault' as const } },
  },
};

describe('a pod over the socket', () => {
  let pod: string;
  let container: string;

  test('run, create, start: identities come back unaltered', async () => {
    const { runtime } = client;
    ({ pod_sandbox_id: pod } = await runtime.runPodSandbox({ config: podConfig, runtime_handler: 'berth' }));
    const create = { pod_sandbox_id: pod, config: containerConfig, sandbox_config: podConfig };
    ({ container_id: container } = await runtime.createContainer(create));
    await runtime.startContainer({ container_id: container });
    const answer = await runtime.podSandboxStatus({ pod_sandbox_id: pod, verbose: true });
    expect(answer.status).toMatchObject({
      id: pod,
      metadata: podConfig.metadata,
      state: 'SANDBOX_READY',
      labels: podConfig.labels,
      annotations: podConfig.annotations,
      runtime_handler: 'berth',
      network: { ip: '10.200.0.2', additional_ips: [{ ip: 'fd00::2' }] },
      linux: { namespaces: { options: { pid: 'CONTAINER', network: 'POD' } } },
    });
    expect(answer.status?.created_at).toMatch(/^\d{19}$/);
    expect(answer.containers_statuses).toHaveLength(1);
    const info = JSON.parse(answer.info['info'] ?? '') as { pid: number; timeline: { step: string }[] };
    expect(info.pid).toBeGreaterThan(0);
    // Network and runtime run side by side: either may end first.
    const steps = info.timeline.map(({ step }) => step);
    expect([steps[0], ...steps.slice(1, 3).sort(), steps[3]]).toEqual(['prepare', 'network', 'runtime', 'record']);
  });

  test('the status of a container', async () => {
    const { status, info } = await client.runtime.containerStatus({ container_id: container, verbose: true });
    expect(status).toMatchObject({
      state: 'CONTAINER_RUNNING',
      metadata: containerConfig.metadata,
      image: { image: 'localhost/busybox:latest' },
      labels: { tier: 'back' },
      mounts: [{ container_path: '/data', host_path: '/srv/data', readonly: true }],
      resources: { linux: { memory_limit_in_bytes: '9007199254740993' } },
      user: { linux: { uid: '0', gid: '0', supplemental_groups: ['0'] } },
      stop_signal: 'SIGNAL_SIGTERM',
      finished_at: '0',
    });
    const answer = await client.runtime.podSandboxStatus({ pod_sandbox_id: pod });
    expect(answer.containers_statuses).toEqual([status]);
    const shown = JSON.parse(info['info'] ?? '') as {
      sandboxID: string;
      warnings: string[];
      runtimeSpec: { process: { env: string[] } };
    };
    expect(shown.sandboxID).toBe(pod);
    expect(shown.warnings).toEqual([expect.stringContaining('AppArmor RuntimeDefault: AppArmor is not active')]);
    expect(shown.runtimeSpec.process.env).toContain('BYTES=\u00ff\u00fe');
  });

  test.each<[string, object, number]>([
    ['no filter', {}, 1],
    ['its id', { id: 'POD' }, 1],
    ['a prefix of its id', { id: 'PREFIX' }, 1],
    ['another id', { id: 'f'.repeat(64) }, 0],
    ['its state', { state: { state: 'SANDBOX_READY' } }, 1],
    ['another state', { state: { state: 'SANDBOX_NOTREADY' } }, 0],
    ['a state of a newer kubelet', { state: { state: 9 } }, 0],
    ['its label', { label_selector: { app: 'web' } }, 1],
    ['a label that every object has', { label_selector: { constructor: 'x' } }, 0],
  ])('pods by %s', async (_what, given, count) => {
    const filter = JSON.parse(
      JSON.stringify(given).replace('POD"', `${pod}"`).replace('PREFIX', pod.slice(0, 13)),
    ) as object;
    expect((await client.runtime.listPodSandbox({ filter })).items).toHaveLength(count);
    const streamed = (await all(client.rawRuntime.streamPodSandboxes({ filter }))) as { pod_sandboxes: object[] }[];
    expect(streamed.flatMap(({ pod_sandboxes }) => pod_sandboxes)).toHaveLength(count);
  });

  test.each<[string, object, number]>([
    ['no filter', {}, 1],
    ['its pod', { pod_sandbox_id: 'POD' }, 1],
    ['another pod', { pod_sandbox_id: 'f'.repeat(64) }, 0],
    ['its state', { state: { state: 'CONTAINER_RUNNING' } }, 1],
    ['another state', { state: { state: 'CONTAINER_EXITED' } }, 0],
    ['its label', { label_selector: { tier: 'back' } }, 1],
  ])('containers by %s', async (_what, given, count) => {
    const filter = JSON.parse(JSON.stringify(given).replace('POD"', `${pod}"`)) as object;
    expect((await client.runtime.listContainers({ filter })).containers).toHaveLength(count);
    const streamed = (await all(client.rawRuntime.streamContainers({ filter }))) as { containers: object[] }[];
    expect(streamed.flatMap(({ containers }) => containers)).toHaveLength(count);
  });

  test('exec gives bytes and the exit code', async () => {
    it.runtime.execResult = { ...it.runtime.execResult, stdout: Buffer.from([0, 255]), exitCode: 3 };
    const answer = await client.runtime.execSync({ container_id: container, cmd: ['x'], timeout: 1 });
    expect(answer).toMatchObject({ stdout: Buffer.from([0, 255]), exit_code: 3 });
  });

  test('exec, attach and port-forward give a URL', async () => {
    const { runtime } = client;
    const streams = { container_id: container, stdout: true };
    expect(await runtime.exec({ ...streams, cmd: ['x'] })).toEqual({ url: 'http://127.0.0.1:1/exec/token' });
    expect(await runtime.attach(streams)).toEqual({ url: 'http://127.0.0.1:1/attach/token' });
    const forward = { pod_sandbox_id: pod, port: [80] };
    expect(await runtime.portForward(forward)).toEqual({ url: 'http://127.0.0.1:1/portforward/token' });
  });

  test.each<[string, object, string]>([
    ['no stream', { container_id: 'ID', cmd: ['x'] }, 'INVALID_ARGUMENT'],
    ['a terminal with stderr', { container_id: 'ID', cmd: ['x'], tty: true, stderr: true }, 'INVALID_ARGUMENT'],
    ['no command', { container_id: 'ID', stdout: true }, 'INVALID_ARGUMENT'],
    ['no such container', { container_id: 'f'.repeat(64), cmd: ['x'], stdout: true }, 'NOT_FOUND'],
  ])('exec with %s is refused before anybody connects', async (_what, given, status) => {
    const request = JSON.parse(JSON.stringify(given).replace('ID', container)) as object;
    await expect(client.runtime.exec(request)).rejects.toMatchObject({ status });
  });

  test('so is a port that is none', async () => {
    const request = { pod_sandbox_id: pod, port: [65_536] };
    await expect(client.runtime.portForward(request)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test('events of an end, a removal and a stop, each with the pod as it was', async () => {
    const stream = client.rawRuntime.getContainerEvents({});
    const events: ContainerEventResponse__Output[] = [];
    stream.on('data', (event: ContainerEventResponse__Output) => void events.push(event));
    stream.on('error', () => undefined);
    const probe = { config: { ...podConfig, metadata: { ...podConfig.metadata, name: 'probe' } } };
    const { pod_sandbox_id: other } = await client.runtime.runPodSandbox(probe);
    await client.runtime.stopContainer({ container_id: container, timeout: 0 });
    await client.runtime.removeContainer({ container_id: container });
    await client.runtime.removePodSandbox({ pod_sandbox_id: other });
    await until(() =>
      events.some((event) => event.container_id === other && /DELETED/.test(event.container_event_type)),
    );
    const own = events.filter((event) => event.container_id === container);
    expect(own.map((event) => event.container_event_type)).toEqual([
      'CONTAINER_STOPPED_EVENT',
      'CONTAINER_DELETED_EVENT',
    ]);
    expect(own[0]?.pod_sandbox_status).toMatchObject({ id: pod, state: 'SANDBOX_READY' });
    expect(own[0]?.containers_statuses).toMatchObject([{ id: container, state: 'CONTAINER_EXITED', exit_code: 137 }]);
    expect(own[1]?.containers_statuses).toEqual([]);
    stream.cancel();
  });

  test('stop and remove may be repeated; a status of what is gone is NOT_FOUND', async () => {
    const { runtime } = client;
    for (let round = 0; round < 2; round++) {
      await runtime.stopContainer({ container_id: container, timeout: 5 });
      await runtime.removeContainer({ container_id: container });
      await runtime.stopPodSandbox({ pod_sandbox_id: pod });
      await runtime.removePodSandbox({ pod_sandbox_id: pod });
    }
    await expect(runtime.podSandboxStatus({ pod_sandbox_id: pod })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await expect(runtime.containerStatus({ container_id: container })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    expect((await runtime.listPodSandbox({})).items).toEqual([]);
  });
});

describe('the node', () => {
  test('Version', async () => {
    expect(await client.runtime.version({})).toEqual({
      version: '0.1.0',
      runtime_name: 'berth',
      runtime_version: '1.2.3',
      runtime_api_version: 'v1',
    });
  });

  test('Status tells conditions, handlers and features; verbose also the config', async () => {
    const answer = await client.runtime.status({ verbose: true });
    expect(answer.status?.conditions).toMatchObject([
      { type: 'RuntimeReady', status: true },
      { type: 'NetworkReady', status: true },
      { type: 'BerthStateWritten', status: true },
    ]);
    expect(answer.runtime_handlers.map(({ name }) => name)).toEqual(['', 'berth']);
    expect(answer.features?.supplemental_groups_policy).toBe(true);
    expect(JSON.parse(answer.info['info'] ?? '')).toMatchObject({
      version: '1.2.3',
      kernel: { bootId: 'boot-1', seccomp: true },
      cgroup: { version: 2, driver: 'cgroupfs', controllers: ['cpu', 'memory', 'pids'] },
      securityModules: {
        seccomp: expect.stringContaining('active: RuntimeDefault'),

        apparmor: expect.stringContaining('not active'),
        selinux: expect.stringContaining('not active'),
      },
      network: { ready: true },
      writableLayers: { bytes: expect.any(Number), inodes: expect.any(Number) },
      config: { root: '/var/lib/berth' },
    });
  });

  test('RuntimeConfig names the cgroup driver, UpdateRuntimeConfig takes the pod CIDR', async () => {
    expect(await client.runtime.runtimeConfig({})).toEqual({ linux: { cgroup_driver: 'CGROUPFS' } });
    await client.runtime.updateRuntimeConfig({ runtime_config: { network_config: { pod_cidr: '10.9.0.0/24' } } });
    expect(it.node.network.subnets).toEqual(['10.9.0.0/24']);
    const wrong = client.runtime.updateRuntimeConfig({ runtime_config: { network_config: { pod_cidr: 'nonsense' } } });
    await expect(wrong).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });
});

describe('a caller that leaves what lasts as long as he likes', () => {
  test.each([
    ['at his deadline', { deadline: 100 }],
    ['by himself', { cancel: 100 }],
  ])(
    '%s is no failure: nothing is warned of',
    async (_how, { deadline, cancel }: { deadline?: number; cancel?: number }) => {
      lines.length = 0;
      const options = deadline === undefined ? {} : { deadline: Date.now() + deadline };
      const stream = client.rawRuntime.getContainerEvents({}, options);
      stream.resume();
      const ended = new Promise<unknown>((resolve) => stream.once('error', resolve));
      if (cancel !== undefined) setTimeout(() => stream.cancel(), cancel);
      expect(await ended).toMatchObject({ code: deadline === undefined ? 1 : 4 });
      const answers = (): LogLine[] => lines.filter(({ method }) => method === 'GetContainerEvents');
      await until(() => answers().length > 0);
      expect(answers()).toMatchObject([{ level: 'debug', code: 'CANCELLED' }]);
    },
  );

  test('an exec that its caller does not wait for is not the node’s failure either', async () => {
    using _held = it.runtime.hold('execSync');
    const { id } = await runningContainer(it, 'leaver');
    lines.length = 0;
    const exec = client.runtime.execSync({ container_id: id, cmd: ['sleep'] }, { timeoutMs: 100 });
    await expect(exec).rejects.toMatchObject({ status: 'DEADLINE_EXCEEDED' });
    await until(() => lines.some(({ method }) => method === 'ExecSync'));
    expect(lines.filter(({ method }) => method === 'ExecSync')).toMatchObject([
      // Which of the two it is depends on who is first: the deadline here, or the client's word that it has gone.
      { level: 'debug', code: expect.stringMatching(/^(DEADLINE_EXCEEDED|CANCELLED)$/) as unknown },
    ]);
  });
});
