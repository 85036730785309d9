import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from '@jest/globals';
import type { LinuxSandboxSecurityContext } from '#cri-api/gen/runtime/v1/LinuxSandboxSecurityContext';
import { podAsked } from '../plan.fixture.ts';
import type { FieldTests } from './field-test.fixture.ts';
import { allResources, shownResources } from './values.fixture.ts';

const security = (context: LinuxSandboxSecurityContext) => ({ linux: { security_context: context } });
const refusal = { status: 'INVALID_ARGUMENT' };

export const podTests: FieldTests = {
  'what a pod is called': async (cri) => {
    const metadata = { name: cri.name(), uid: 'uid-1', namespace: 'blue', attempt: 3 };
    const told = { metadata, labels: { app: 'web' }, annotations: { note: 'ü' } };
    const id = await cri.runPod(told, 'berth');
    const { status } = await cri.client.runtime.podSandboxStatus({ pod_sandbox_id: id });
    expect(status).toMatchObject({ id, ...told, runtime_handler: 'berth' });
    const { items } = await cri.client.runtime.listPodSandbox({ filter: { id } });
    expect(items).toMatchObject([{ id, ...told, runtime_handler: 'berth' }]);
    const { name, uid, namespace } = metadata;
    expect(cri.sandboxes.node.network.requests.at(-1)?.pod).toEqual({
      ...{ name, uid, namespace, annotations: told.annotations },
    });
    await expect(cri.runPod({}, 'unheard-of')).rejects.toMatchObject(refusal);
  },

  'the host name of a pod': async (cri) => {
    const id = await cri.runPod({ hostname: 'inside' });
    expect(podAsked(cri, id).hostname).toBe('inside');
    expect(podFile(cri.sandboxes.node.root, id, 'hostname')).toBe('inside\n');
  },

  'resolv.conf of a pod': async (cri) => {
    const dns_config = { servers: ['10.0.0.10'], searches: ['svc.local', 'local'], options: ['ndots:5'] };
    const id = await cri.runPod({ dns_config });
    expect(podFile(cri.sandboxes.node.root, id, 'resolv.conf')).toBe(
      'search svc.local local\nnameserver 10.0.0.10\noptions ndots:5\n',
    );
  },

  'host ports of a pod': async (cri) => {
    await cri.runPod({
      port_mappings: [
        { protocol: 'UDP', container_port: 53, host_port: 5353, host_ip: '127.0.0.2' },
        { protocol: 'TCP', container_port: 80 },
      ],
    });
    expect(cri.sandboxes.node.network.requests.at(-1)?.portMappings).toEqual([
      { protocol: 'udp', containerPort: 53, hostPort: 5353, hostIp: '127.0.0.2' },
    ]);
  },

  'namespaces of a pod': async (cri) => {
    const node = await cri.runPod(security({ namespace_options: { network: 'NODE', pid: 'NODE', ipc: 'NODE' } }));
    expect(podAsked(cri, node)).toMatchObject({ network: 'node', uts: 'node', pid: 'node', ipc: 'node' });
    const own = await cri.runPod(security({ namespace_options: { pid: 'CONTAINER' } }));
    expect(podAsked(cri, own)).toMatchObject({ network: 'pod', uts: 'pod', pid: 'container', ipc: 'pod' });
  },

  'users of a pod': async (cri) => {
    const of = (userns_options: object) => cri.runPod(security({ namespace_options: { userns_options } }));
    const uids = [{ host_id: 100_000, container_id: 0, length: 65_536 }];
    const gids = [{ host_id: 200_000, container_id: 0, length: 32_768 }];
    expect(podAsked(cri, await of({ mode: 'POD', uids, gids })).users).toEqual({
      uids: { hostId: 100_000, length: 65_536 },
      gids: { hostId: 200_000, length: 32_768 },
    });
    expect(podAsked(cri, await of({ mode: 'NODE' })).users).toBeUndefined();
    const shifted = { host_id: 100_000, container_id: 5, length: 65_536 };
    await expect(of({ uids: [shifted], gids })).rejects.toMatchObject(refusal);
    await expect(of({ uids, gids: [shifted] })).rejects.toMatchObject(refusal);
  },

  'sysctls of a pod': async (cri) => {
    const id = await cri.runPod({ linux: { sysctls: { 'net.core.somaxconn': '1024' } } });
    expect(podAsked(cri, id).sysctls).toMatchObject({ 'net.core.somaxconn': '1024' });
  },

  'what a pod may use': async (cri) => {
    const [overhead, resources] = [allResources(1), allResources(2)];
    const id = await cri.runPod({ linux: { overhead, resources } });
    expect(await infoOf(id)).toMatchObject({
      overhead: shownResources(overhead),
      resources: shownResources(resources),
    });

    async function infoOf(pod_sandbox_id: string): Promise<unknown> {
      const { info } = await cri.client.runtime.podSandboxStatus({ pod_sandbox_id, verbose: true });
      return JSON.parse(info['info'] ?? '');
    }
  },

  'what a pod may use now': async (cri) => {
    const linux = { overhead: allResources(1), resources: allResources(2) };
    const id = await cri.runPod({ linux });
    const [overhead, resources] = [allResources(3), allResources(4)];
    await cri.client.runtime.updatePodSandboxResources({ pod_sandbox_id: id, overhead, resources });
    const { info } = await cri.client.runtime.podSandboxStatus({ pod_sandbox_id: id, verbose: true });
    expect(JSON.parse(info['info'] ?? '')).toMatchObject({
      overhead: shownResources(overhead),
      resources: shownResources(resources),
    });
  },

  'which pod is meant': async (cri, { call }) => {
    const { runtime } = cri.client;
    const [id, other] = [await cri.runPod(), await cri.runPod()];
    const answer = await cri.call(call, {
      pod_sandbox_id: id.slice(0, 16),
      ...(call === 'UpdatePodSandboxResources' ? { resources: { cpu_shares: '7' } } : {}),
    });
    const state = async (pod: string) => (await runtime.listPodSandbox({ filter: { id: pod } })).items[0]?.state;
    if (call === 'PodSandboxStatus') expect(answer).toMatchObject({ status: { id } });
    if (call === 'PodSandboxStats') expect(answer).toMatchObject({ stats: { attributes: { id } } });
    if (call === 'StopPodSandbox') expect(await state(id)).toBe('SANDBOX_NOTREADY');
    if (call === 'RemovePodSandbox') expect(await state(id)).toBeUndefined();
    expect(await state(other)).toBe('SANDBOX_READY');
  },

  'filters of pods': async (cri, { call }) => {
    const labels = { of: cri.name() };
    const [one, two, stopped] = [
      await cri.runPod({ labels }),
      await cri.runPod({ labels }),
      await cri.runPod({ labels }),
    ];
    await cri.client.runtime.stopPodSandbox({ pod_sandbox_id: stopped });
    await cri.runPod();
    const stats = call.endsWith('Stats');
    const all = stats ? [one, two] : [one, two, stopped];
    expect(await cri.list(call, { label_selector: labels })).toEqual(all.toSorted());
    expect(await cri.list(call, { id: one.slice(0, 16), label_selector: labels })).toEqual([one]);
    if (stats) return;
    const state = { state: 'SANDBOX_NOTREADY' };
    expect(await cri.list(call, { state, label_selector: labels })).toEqual([stopped]);
  },
};

const podFile = (root: string, id: string, name: string): string =>
  readFileSync(path.join(root, 'pods', id, name), 'utf8');
