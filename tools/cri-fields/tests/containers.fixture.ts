import path from 'node:path';
import { expect } from '@jest/globals';
import { filesOf, askedOf } from '../plan.fixture.ts';
import type { FieldTests } from './field-test.fixture.ts';
import { allResources, shifted } from './values.fixture.ts';

const refusal = { status: 'INVALID_ARGUMENT' };

export const containerTests: FieldTests = {
  'what a container is called': async (cri) => {
    const pod = await cri.runPod();
    const told = { metadata: { name: cri.name(), attempt: 2 }, labels: { tier: 'back' }, annotations: { note: 'ü' } };
    const id = await cri.createContainer(told, pod.slice(0, 16));
    const { status } = await cri.client.runtime.containerStatus({ container_id: id });
    expect(status).toMatchObject({ id, ...told });
    const { containers } = await cri.client.runtime.listContainers({ filter: { id } });
    expect(containers).toMatchObject([{ id, pod_sandbox_id: pod, ...told }]);
    expect((await askedOf(cri, id)).spec.annotations).toEqual(told.annotations);
  },

  'the image of a container': async (cri) => {
    const name = `localhost/${cri.name()}:latest`;
    const image = cri.sandboxes.node.images.add({ names: [name], config: { cmd: ['its-own'] } });
    const asked = { image: name, annotations: { from: 'tests' }, user_specified_image: 'as-written' };
    const id = await cri.createContainer({ image: asked });
    const { containers } = await cri.client.runtime.listContainers({ filter: { id } });
    expect(containers).toMatchObject([{ image: asked, image_id: image.id }]);
    expect((await askedOf(cri, id)).input.args).toEqual(['its-own']);
    const elsewhere = cri.createContainer({ image: { ...asked, runtime_handler: 'unheard-of' } });
    await expect(elsewhere).rejects.toMatchObject(refusal);
  },

  'the process of a container': async (cri) => {
    const id = await cri.createContainer({
      ...{ command: ['/bin/run'], args: ['--fast'], working_dir: '/srv' },
      envs: [{ key: 'BYTES', value: Buffer.from([0xff, 0xfe]) }],
    });
    const { process } = (await askedOf(cri, id)).plan;
    expect(process?.args).toEqual([Buffer.from('/bin/run'), Buffer.from('--fast')]);
    expect(process?.cwd).toBe('/srv');
    expect(process?.env).toContainEqual(Buffer.from('BYTES=\xff\xfe', 'latin1'));
  },

  'streams of a container': async (cri) => {
    const { input, plan } = await askedOf(cri, await cri.createContainer({ stdin: true, stdin_once: true, tty: true }));
    expect(input).toMatchObject({ stdin: true, stdinOnce: true, tty: true });
    expect(plan.process?.tty).toBe(true);
  },

  'where the log of a container is': async (cri) => {
    const directory = path.join(cri.directory, cri.name());
    const pod = await cri.runPod({ log_directory: directory });
    const id = await cri.createContainer({ log_path: 'app/0.log' }, pod);
    expect((await askedOf(cri, id)).input.logPath).toBe(path.join(directory, 'app/0.log'));
  },

  'the control group of a container': async (cri) => {
    const cgroup_parent = '/kubepods/burstable/pod1';
    const id = await cri.createContainer({}, await cri.runPod({ linux: { cgroup_parent } }));
    expect((await askedOf(cri, id)).spec.linux.cgroupsPath).toBe(`${cgroup_parent}/${id}`);
    expect(cri.sandboxes.node.network.requests.at(-1)?.cgroupPath).toBe(cgroup_parent);
  },

  'the stop signal of a container': async (cri) => {
    const id = await cri.startContainer({ stop_signal: 'SIGNAL_SIGUSR1' });
    const { status } = await cri.client.runtime.containerStatus({ container_id: id });
    expect(status?.stop_signal).toBe('SIGNAL_SIGUSR1');
    const { container } = await askedOf(cri, id);
    await cri.client.runtime.stopContainer({ container_id: id, timeout: 5 });
    expect(container.signals).toEqual([10]);
  },

  'volumes of a container': async (cri) => {
    const id = await cri.createContainer({
      mounts: [
        { container_path: '/deep', host_path: '/srv/deep', readonly: true, recursive_read_only: true },
        { container_path: '/flat', host_path: '/srv/flat', readonly: true },
        { container_path: '/seen', host_path: '/srv/seen', propagation: 'PROPAGATION_BIDIRECTIONAL' },
        { container_path: '/plain', host_path: '/srv/plain', mount_options: ['noexec', 'nodev', 'nosuid'] },
      ],
    });
    const { plan } = await askedOf(cri, id);
    const at = (destination: string) => plan.mounts?.filter((mount) => mount.destination === destination);
    const [readOnly, noneOfThree] = ['1', '14'];
    expect(at('/deep')).toMatchObject([{ source: '/srv/deep', flags: readOnly, recursive_readonly: true }]);
    expect(at('/flat')).toMatchObject([{ source: '/srv/flat', flags: readOnly, recursive_readonly: false }]);
    expect(at('/seen')).toMatchObject([{ source: '/srv/seen', flags: '0', propagation: 'SHARED' }]);
    expect(at('/plain')).toMatchObject([{ source: '/srv/plain', flags: noneOfThree, propagation: 'PRIVATE' }]);
  },

  'volumes of a container with users of its own': async (cri) => {
    const uids = [{ host_id: 100_000, container_id: 0, length: 65_536 }];
    const gids = [{ host_id: 200_000, container_id: 0, length: 65_536 }];
    const options = { namespace_options: { userns_options: { mode: 'POD' as const, uids, gids } } };
    const pod = await cri.runPod({ linux: { security_context: options } });
    const mount = { container_path: '/data', host_path: '/srv/data' };
    const id = await cri.createContainer({ mounts: [{ ...mount, uidMappings: uids, gidMappings: gids }] }, pod);
    const volume = (await askedOf(cri, id)).plan.mounts?.find(({ destination }) => destination === '/data');
    expect(volume?.idmapped).toBe(true);
    const [shiftedUids, shiftedGids] = [shifted(uids), shifted(gids)];
    for (const mappings of [
      { uidMappings: shiftedUids, gidMappings: gids },
      { uidMappings: uids, gidMappings: shiftedGids },
    ]) {
      const shifted = cri.createContainer({ mounts: [{ ...mount, ...mappings }] }, pod);
      await expect(shifted).rejects.toMatchObject(refusal);
    }
  },

  'devices of a container': async (cri) => {
    const device = { container_path: '/dev/mine', host_path: '/dev/zero', permissions: 'r' };
    const { plan, spec } = await askedOf(cri, await cri.createContainer({ devices: [device] }));
    const mine = { path: '/dev/mine', source: '/dev/zero', major: 1, minor: 5 };
    expect(plan.devices?.find((one) => one.path === '/dev/mine')).toMatchObject(mine);
    expect(spec.linux.resources.devices?.at(-1)).toEqual({ allow: true, type: 'c', access: 'r', major: 1, minor: 5 });
  },

  'limits of a container': async (cri) => {
    const { limits, plan } = await askedOf(cri, await cri.createContainer({ linux: { resources: allResources(1) } }));
    expect(limits).toEqual({
      'cpu.max': '50001 100001',
      'cpu.weight': filesOf({ cpuShares: 513n })['cpu.weight'],
      'cpuset.cpus': '0-1',
      'cpuset.mems': '1',
      'memory.max': `${2 ** 28 + 1}`,
      'memory.swap.max': `${2 ** 28}`,
      'memory.high': `${2 ** 27 + 1}`,
      'hugetlb.2MB.max': `${2 ** 22 + 1}`,
    });
    expect(plan.process).toMatchObject({ set_oom_score_adj: true, oom_score_adj: 101 });
  },

  'limits of a container from now on': async (cri) => {
    const id = await cri.startContainer({ linux: { resources: allResources(1) } });
    const linux = { ...allResources(2), cpu_shares: '4096' };
    await cri.client.runtime.updateContainerResources({ container_id: id, linux });
    const { container } = await askedOf(cri, id);
    expect(container.updates.map(filesOf)).toEqual([
      {
        'cpu.max': '50002 100002',
        'cpu.weight': filesOf({ cpuShares: 4096n })['cpu.weight'],
        'cpuset.cpus': '0-2',
        'cpuset.mems': '2',
        'memory.max': `${2 ** 28 + 2}`,
        'memory.swap.max': `${2 ** 28}`,
        'memory.high': `${2 ** 27 + 2}`,
        'hugetlb.2MB.max': `${2 ** 22 + 2}`,
      },
    ]);
    const { status } = await cri.client.runtime.containerStatus({ container_id: id });
    expect(status?.resources?.linux).toMatchObject({ ...linux, oom_score_adj: '101' });
  },

  'which container is meant': async (cri, { call }) => {
    const directory = path.join(cri.directory, cri.name());
    const pod = await cri.runPod({ log_directory: directory });
    const config = { log_path: '0.log' };
    const make = () => (call === 'StartContainer' ? cri.createContainer(config, pod) : cri.startContainer(config, pod));
    const [id, other] = [await make(), await make()];
    const before = await stateOf(other);
    const linux = call === 'UpdateContainerResources' ? { linux: { cpu_shares: '7' } } : {};
    const answer = await cri.call(call, { container_id: id.slice(0, 16), ...linux });
    if (call === 'ContainerStatus') expect(answer).toMatchObject({ status: { id } });
    if (call === 'ContainerStats') expect(answer).toMatchObject({ stats: { attributes: { id } } });
    if (call === 'StartContainer') expect(await stateOf(id)).toBe('CONTAINER_RUNNING');
    if (call === 'StopContainer') expect(await stateOf(id)).toBe('CONTAINER_EXITED');
    if (call === 'RemoveContainer') expect(await stateOf(id)).toBeUndefined();
    if (call === 'UpdateContainerResources') expect((await askedOf(cri, id)).container.updates).toHaveLength(1);
    if (call === 'ReopenContainerLog') expect(cri.sandboxes.runtime.calls).toContain(`reopenLog ${id}`);
    expect(await stateOf(other)).toBe(before);

    async function stateOf(container: string): Promise<string | undefined> {
      return (await cri.client.runtime.listContainers({ filter: { id: container } })).containers[0]?.state;
    }
  },

  'the time a container has to stop': async (cri) => {
    const id = await cri.startContainer();
    const { container } = await askedOf(cri, id);
    await cri.client.runtime.stopContainer({ container_id: id, timeout: 30 });
    expect(container.signals).toEqual([15]);
    const another = await cri.startContainer();
    const { container: killed } = await askedOf(cri, another);
    await cri.client.runtime.stopContainer({ container_id: another, timeout: 0 });
    expect(killed.signals).toEqual([9]);
  },

  'filters of containers': async (cri, { call }) => {
    const labels = { of: cri.name() };
    const pod = await cri.runPod();
    const [one, two] = [await cri.startContainer({ labels }, pod), await cri.startContainer({ labels }, pod)];
    const elsewhere = await cri.startContainer({ labels });
    const created = await cri.createContainer({ labels }, pod);
    await cri.startContainer({}, pod);
    const stats = call.endsWith('Stats');
    const all = stats ? [one, two, elsewhere] : [one, two, elsewhere, created];
    expect(await cri.list(call, { label_selector: labels })).toEqual(all.toSorted());
    expect(await cri.list(call, { id: one.slice(0, 16), label_selector: labels })).toEqual([one]);
    expect(await cri.list(call, { pod_sandbox_id: pod.slice(0, 16), label_selector: labels })).toEqual(
      all.filter((id) => id !== elsewhere).toSorted(),
    );
    if (stats) return;
    const running = { state: 'CONTAINER_RUNNING' };
    expect(await cri.list(call, { state: running, label_selector: labels })).toEqual([one, two, elsewhere].toSorted());
  },
};
