import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { BerthError } from '#base/errors';
import {
  containerIdentity,
  expectClean,
  FakeNode,
  impatient,
  podIdentity,
  runningContainer,
  until,
} from './sandboxes.fixture.ts';
import { podWith, securityContext } from './cri-config.fixture.ts';

const ctx = createCtx();

test('fields of a seccomp profile that nobody knows are counted for each container that is made with it', async () => {
  const it = await new FakeNode().start();
  const profile = path.join(it.node.root, 'profile.json');
  writeFileSync(profile, '{"defaultAction":"SCMP_ACT_ALLOW","new":1,"syscalls":[{"action":"SCMP_ACT_LOG","new":1}]}');
  const seccomp = { profile_type: 'Localhost', localhost_ref: profile } as const;
  const linux = { resources: null, security_context: securityContext({ seccomp }) };
  const podId = await it.sandboxes.runPod(ctx, podIdentity('web'));
  await it.sandboxes.createContainer(ctx, containerIdentity(podId, 'plain'));
  expect(await it.metrics.text()).toMatch(/^berth_seccomp_unknown_fields_total 0$/m);
  for (const name of ['one', 'two']) {
    await it.sandboxes.createContainer(ctx, containerIdentity(podId, name, { linux }));
  }
  expect(await it.metrics.text()).toMatch(/^berth_seccomp_unknown_fields_total 4$/m);
});

describe('the life of a pod', () => {
  test('run, create, start, exit, remove: nothing is left', async () => {
    const it = await new FakeNode().start();
    const { podId, id } = await runningContainer(it);
    const pod = it.sandboxes.getPod(podId);
    expect(pod.status).toMatchObject({ state: 'ready', network: { addresses: ['10.200.0.2', 'fd00::2'] } });
    const hosts = readFileSync(path.join(it.node.root, 'pods', podId, 'hosts'), 'utf8');
    expect(hosts).toContain('10.200.0.2\tweb');
    expect(it.sandboxes.getContainer(id).status).toMatchObject({ state: 'running' });
    it.runtime.exit(id, 3);
    const container = it.sandboxes.getContainer(id);
    await container.exited.promise;
    expect(container.status).toMatchObject({ state: 'exited', exitCode: 3, reason: 'Error' });
    await until(() => it.runtime.container(id)?.acknowledged === true);
    await it.sandboxes.removeContainer(ctx, id);
    await it.sandboxes.stopPod(ctx, podId);
    expect(it.sandboxes.getPod(podId).status).toMatchObject({ state: 'notReady' });
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test('removing a running pod stops it first; every stop and remove may be repeated', async () => {
    const it = await new FakeNode().start();
    const { podId, id } = await runningContainer(it);
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
    for (const gone of [podId, 'f'.repeat(64)]) {
      await it.sandboxes.removePod(ctx, gone);
      await it.sandboxes.stopPod(ctx, gone);
    }
    await it.sandboxes.stopContainer(ctx, id, 10_000);
    await it.sandboxes.removeContainer(ctx, id);
  });

  test('a stopped pod keeps its record, gives its network back, and takes no container', async () => {
    const it = await new FakeNode().start();
    const { podId, id } = await runningContainer(it);
    await Promise.all([it.sandboxes.stopPod(ctx, podId), it.sandboxes.stopPod(ctx, podId)]);
    expect(it.node.network.records.size).toBe(0);
    expect(it.sandboxes.getContainer(id).status).toMatchObject({ state: 'exited', exitCode: 137 });
    const create = it.sandboxes.createContainer(ctx, containerIdentity(podId, 'late'));
    await expect(create).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test('stopped while a container is made: the making fails and is undone before the stop answers', async () => {
    const it = await new FakeNode().start();
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    using _held = it.runtime.hold('createContainer');
    const create = it.sandboxes.createContainer(ctx, containerIdentity(podId));
    const failed = expect(create).rejects.toMatchObject({ code: 'SHIM_DIED' });
    await until(() => it.runtime.calls.some((call) => call.startsWith('createContainer')));
    await it.sandboxes.stopPod(ctx, podId);
    expect(it.node.images.leases.size).toBe(0);
    expect(readdirSync(path.join(it.node.root, 'containers'))).toEqual([]);
    await failed;
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test("on the node's network: no namespace, no address, the node's hosts", async () => {
    const it = await new FakeNode().start();
    const podId = await it.sandboxes.runPod(ctx, podIdentity('host', { linux: podWith({ network: 'NODE' }).linux }));
    expect(it.node.network.records.size).toBe(0);
    expect(it.sandboxes.getPod(podId).status.network).toBeUndefined();
    expect(existsSync(path.join(it.node.root, 'pods', podId, 'hosts'))).toBe(true);
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test('ids may be shortened as long as they are unambiguous', async () => {
    const it = await new FakeNode().start();
    const { podId, id } = await runningContainer(it);
    expect(it.sandboxes.getPod(podId.slice(0, 13)).id).toBe(podId);
    expect(it.sandboxes.getContainer(id.slice(0, 13)).id).toBe(id);
    expect(() => it.sandboxes.getPod('')).toThrow('empty');
  });
});

describe('what fails leaves nothing', () => {
  test.each(['runPod', 'network', 'record'] as const)('RunPodSandbox at %s', async (where) => {
    const it = await new FakeNode().start();
    const failure = new BerthError('KERNEL', `no ${where}`);
    if (where === 'runPod') it.runtime.failNext('runPod', failure);
    if (where === 'network') it.node.network.failNextSetUp = failure;
    if (where === 'record') it.node.disk.failNextWrite = failure;
    await expect(it.sandboxes.runPod(ctx, podIdentity())).rejects.toThrow();
    await expectClean(it);
    // And the name is free.
    await it.sandboxes.runPod(ctx, podIdentity());
  });

  test.each(['createContainer', 'record'] as const)('CreateContainer at %s', async (where) => {
    const it = await new FakeNode().start();
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    const failure = new BerthError('KERNEL', `no ${where}`);
    if (where === 'createContainer') it.runtime.failNext('createContainer', failure);
    else it.node.disk.failNextWrite = failure;
    await expect(it.sandboxes.createContainer(ctx, containerIdentity(podId))).rejects.toThrow(`no ${where}`);
    expect(it.sandboxes.listContainers()).toEqual([]);
    await it.sandboxes.createContainer(ctx, containerIdentity(podId));
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test('what could not be undone stays as not ready; the retry removes it and makes a new pod', async () => {
    const it = await new FakeNode().start();
    it.runtime.failNext('runPod', new BerthError('KERNEL', 'no shim'));
    it.node.network.tearDown = async () => Promise.reject(new BerthError('KERNEL', 'busy'));
    await expect(it.sandboxes.runPod(ctx, podIdentity())).rejects.toThrow('no shim');
    const [left] = it.sandboxes.listPods();
    expect(left?.status).toMatchObject({ state: 'notReady', reason: 'CreateFailed', message: 'no shim' });
    Reflect.deleteProperty(it.node.network, 'tearDown');
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    expect(podId).not.toBe(left?.id);
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test.each([
    ['an image that is not there', { image: { image: 'nowhere/none:1' } }, 'NOT_FOUND'],
    ['no image', { image: null }, 'INVALID_ARGUMENT'],
    ['a CDI device', { CDI_devices: [{ name: 'vendor.com/gpu=0' }] }, 'UNIMPLEMENTED'],
    ['a log path that climbs', { log_path: '../../x' }, 'INVALID_ARGUMENT'],
  ])('CreateContainer with %s', async (_what, changes, code) => {
    const it = await new FakeNode().start();
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    const identity = containerIdentity(podId, 'app', changes as Parameters<typeof containerIdentity>[2]);
    await expect(it.sandboxes.createContainer(ctx, identity)).rejects.toMatchObject({ code });
    await it.sandboxes.removePod(ctx, podId);
    await expectClean(it);
  });

  test.each([
    ['an unknown runtime handler', { ...podIdentity(), runtimeHandler: 'kata' }],
    ['a relative cgroup parent', podIdentity('web', { linux: podWith({}, { cgroupParent: 'a/b' }).linux })],
    ['a cgroup parent that climbs', podIdentity('web', { linux: podWith({}, { cgroupParent: '/a/../..' }).linux })],
    ['a slice', podIdentity('web', { linux: podWith({}, { cgroupParent: 'kubepods-pod1.slice' }).linux })],
  ])('RunPodSandbox with %s', async (_what, identity) => {
    const it = await new FakeNode().start();
    await expect(it.sandboxes.runPod(ctx, identity)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expectClean(it);
  });
});

test('host ports are asked of the network, 0 being none; pods on the node’s own network have them already', async () => {
  const it = await new FakeNode().start();
  const mapping = { protocol: 'TCP' as const, container_port: 80, host_port: 8080, host_ip: '127.0.0.1' };
  const port_mappings = [mapping, { ...mapping, host_port: 0 }];
  await it.sandboxes.runPod(ctx, podIdentity('web', { port_mappings }));
  await it.sandboxes.runPod(ctx, podIdentity('host', { ...podWith({ network: 'NODE' }), ...{ port_mappings } }));
  expect(it.node.network.requests.map((request) => request.portMappings)).toEqual([
    [{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '127.0.0.1' }],
  ]);
  const wrong = podIdentity('wrong', { port_mappings: [{ ...mapping, container_port: 70_000 }] });
  await expect(it.sandboxes.runPod(ctx, wrong)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

describe('a retry joins', () => {
  test('two equal RunPodSandbox at once give one pod', async () => {
    const it = await new FakeNode().start();
    const ids = await Promise.all([it.sandboxes.runPod(ctx, podIdentity()), it.sandboxes.runPod(ctx, podIdentity())]);
    expect(new Set(ids).size).toBe(1);
    expect(await it.sandboxes.runPod(ctx, podIdentity())).toBe(ids[0]);
    expect(it.sandboxes.listPods()).toHaveLength(1);
  });

  test('a caller that goes away detaches only itself; the retry gets the pod that it asked for', async () => {
    const it = await new FakeNode().start();
    const held = it.runtime.hold('runPod');
    using short = impatient(10);
    await expect(it.sandboxes.runPod(short, podIdentity())).rejects.toThrow('went away');
    expect(it.sandboxes.listPods()).toEqual([]);
    const retry = it.sandboxes.runPod(ctx, podIdentity());
    held[Symbol.dispose]();
    expect(it.sandboxes.getPod(await retry).status.state).toBe('ready');
    expect(it.runtime.calls.filter((call) => call.startsWith('runPod'))).toHaveLength(1);
  });

  test('a result that nobody asks for is undone; one that somebody looks at is not', async () => {
    const it = await new FakeNode().start({ parkMs: 60 });
    for (const name of ['unclaimed', 'claimed']) {
      const held = it.runtime.hold('runPod');
      using short = impatient(5);
      await expect(it.sandboxes.runPod(short, podIdentity(name))).rejects.toThrow('went away');
      held[Symbol.dispose]();
    }
    await until(() => it.sandboxes.listPods().length === 2);
    const claimed = it.sandboxes.listPods().find((pod) => pod.identity.config.metadata.name === 'claimed');
    it.sandboxes.getPod(claimed?.id ?? '');
    await until(() => it.sandboxes.listPods().length === 1);
    expect(it.sandboxes.listPods()[0]?.id).toBe(claimed?.id);
  });

  test('CreateContainer with another config under the same name says so, and never that a name is reserved', async () => {
    const it = await new FakeNode().start();
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    const id = await it.sandboxes.createContainer(ctx, containerIdentity(podId));
    expect(await it.sandboxes.createContainer(ctx, containerIdentity(podId))).toBe(id);
    const other = it.sandboxes.createContainer(ctx, containerIdentity(podId, 'app', { tty: true }));
    await expect(other).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await it.sandboxes.startContainer(ctx, id);
    await it.sandboxes.startContainer(ctx, id);
  });
});

describe('stopping a container', () => {
  test('signal, grace, kill', async () => {
    const it = await new FakeNode().start();
    it.runtime.ignoredSignals.add(15);
    const { id } = await runningContainer(it);
    const begin = performance.now();
    await it.sandboxes.stopContainer(ctx, id, 50);
    expect(performance.now() - begin).toBeGreaterThan(45);
    expect(it.runtime.container(id)?.signals).toEqual([15, 9]);
    expect(it.sandboxes.getContainer(id).status).toMatchObject({ state: 'exited', exitCode: 137 });
  });

  test('a second stop with a shorter grace wins; a longer one does not', async () => {
    const it = await new FakeNode().start();
    it.runtime.ignoredSignals.add(15);
    const { id } = await runningContainer(it);
    const first = it.sandboxes.stopContainer(ctx, id, 60_000);
    const begin = performance.now();
    await Promise.all([first, it.sandboxes.stopContainer(ctx, id, 30), it.sandboxes.stopContainer(ctx, id, 90_000)]);
    expect(performance.now() - begin).toBeLessThan(1_000);
    expect(it.runtime.container(id)?.signals).toEqual([15, 9]);
  });

  test('0 kills at once; a created one is killed and counts as exited', async () => {
    const it = await new FakeNode().start();
    const { id, podId } = await runningContainer(it);
    await it.sandboxes.stopContainer(ctx, id, 0);
    expect(it.runtime.container(id)?.signals).toEqual([9]);
    const created = await it.sandboxes.createContainer(ctx, containerIdentity(podId, 'other'));
    await it.sandboxes.stopContainer(ctx, created, 30_000);
    expect(it.sandboxes.getContainer(created).status).toMatchObject({ state: 'exited', startedAtNs: 0n });
  });

  test('a process that cannot be killed: an error in time, and the next stop tries again', async () => {
    const it = await new FakeNode().start();
    it.runtime.unkillable = true;
    const { id } = await runningContainer(it);
    await expect(it.sandboxes.stopContainer(ctx, id, 0)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    it.runtime.unkillable = false;
    await it.sandboxes.stopContainer(ctx, id, 0);
    expect(it.sandboxes.getContainer(id).status.state).toBe('exited');
  });
});

describe('exec', () => {
  test('gives what the command printed, and runs by the container', async () => {
    const it = await new FakeNode().start();
    const { id } = await runningContainer(it);
    const result = await it.sandboxes.execSync(ctx, { containerId: id, command: ['echo', 'é'], timeoutMs: 0 });
    expect(result.stdout.toString()).toBe('out');
    expect(it.runtime.calls).toContain(`execSync ${id} echo ${Buffer.from('é').toString('latin1')}`);
  });

  test('over its time: DEADLINE_EXCEEDED; not running: FAILED_PRECONDITION', async () => {
    const it = await new FakeNode().start();
    const { id } = await runningContainer(it);
    it.runtime.execResult = { ...it.runtime.execResult, timedOut: true };
    const slow = it.sandboxes.execSync(ctx, { containerId: id, command: ['sleep'], timeoutMs: 5 });
    await expect(slow).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringMatching(/killed: context deadline exceeded$/),
    });
    it.runtime.execResult = { ...it.runtime.execResult, hangingPid: 77 };
    const hangs = it.sandboxes.execSync(ctx, { containerId: id, command: ['cat'], timeoutMs: 5 });
    await expect(hangs).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('was killed: context deadline exceeded; its process 77 does not end'),
    });
    await it.sandboxes.stopContainer(ctx, id, 0);
    const late = it.sandboxes.execSync(ctx, { containerId: id, command: ['true'], timeoutMs: 0 });
    await expect(late).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });
});

test('lists answer while everything else hangs', async () => {
  const it = await new FakeNode().start();
  const { podId } = await runningContainer(it);
  using _held = it.runtime.hold('createContainer');
  using short = impatient(20);
  const stuck = it.sandboxes.createContainer(short, containerIdentity(podId, 'stuck'));
  const begin = performance.now();
  expect(it.sandboxes.listPods()).toHaveLength(1);
  expect(it.sandboxes.listContainers()).toHaveLength(1);
  expect(performance.now() - begin).toBeLessThan(5);
  await expect(stuck).rejects.toThrow('went away');
});
