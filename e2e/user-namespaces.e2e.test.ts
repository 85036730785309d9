import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { busyboxLayer, writeImage } from './harness/image-archive.ts';
import { shell, TestPod } from './harness/pods.ts';

// Pods whose root is not the node's (KEP-127).
const range = [{ host_id: 300_000, container_id: 0, length: 65_536 }];
const users = { mode: 'POD', uids: range, gids: range } as const;
const withUsers = (more: object = {}): { linux: object } => ({
  linux: {
    security_context: { namespace_options: { network: 'POD', pid: 'CONTAINER', userns_options: users, ...more } },
  },
});

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown());

async function pidOf(container: string): Promise<number> {
  const { info } = await berthd.cri.runtime.containerStatus({ container_id: container, verbose: true });
  return (JSON.parse(info['info'] ?? '{}') as { pid: number }).pid;
}

describe('a pod with users of its own', () => {
  test('is said to be possible', async () => {
    const { runtime_handlers: handlers } = await berthd.cri.runtime.status({});
    expect(handlers.every(({ features }) => features?.user_namespaces)).toBe(true);
  });

  test('runs containers whose root is nobody on the node', async () => {
    const pod = await TestPod.run(berthd, withUsers());
    const container = await pod.start(shell('sleep 1000'));
    const pid = await pidOf(container.id);
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Uid:\s300000/m);
    expect(readlinkSync(`/proc/${pid}/ns/user`)).not.toBe(readlinkSync('/proc/self/ns/user'));
    expect(await container.sh('id -u; cat /proc/self/uid_map')).toMatch(/^0\n\s+0\s+300000\s+65536\n$/);
    expect(await container.sh('touch /mine; stat -c %u /mine /bin/busybox')).toBe('0\n0\n');
    await container.stop(0);
    expect(await pod.status()).toBe('SANDBOX_READY');
  });

  test('has a network like any other', async () => {
    const server = await TestPod.run(berthd, withUsers());
    await server.start(shell('mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www'));
    const { status } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: server.id });
    const client = await TestPod.run(berthd);
    const line = `for i in 1 2 3 4 5; do wget -q -O - http://${status?.network?.ip}/ && exit 0; sleep 0.2; done; exit 1`;
    expect(await client.sh(line)).toBe('hello\n');
    const unprivileged = { linux: { security_context: { run_as_user: { value: '1000' } } } };
    expect(await client.sh('true', unprivileged)).toBe('');
  });

  test('sees volumes as its own where the kubelet says so', async () => {
    const source = path.join(berthd.node.directory, 'volume');
    await mkdir(source);
    await writeFile(path.join(source, 'file'), 'text\n', { mode: 0o600 });
    const pod = await TestPod.run(berthd, withUsers());
    const mapped = { host_path: source, container_path: '/mapped', uidMappings: range, gidMappings: range };
    const text = await pod.sh('cat /mapped/file; echo new > /mapped/new; stat -c %u /plain/file', {
      mounts: [mapped, { host_path: source, container_path: '/plain' }],
    });
    expect(text).toBe('text\n65534\n');
    expect(statSync(path.join(source, 'new')).uid).toBe(0);
    const other = [{ host_id: 1, container_id: 0, length: 65_536 }];
    const wrong = { ...mapped, uidMappings: other, gidMappings: other };
    await expect(pod.sh('true', { mounts: [wrong] })).rejects.toThrow('not those of the pod');
  });

  test('can do to its pod what root can, and nothing to the node', async () => {
    const privileged = { linux: { security_context: { privileged: true } } };
    const linux = {
      security_context: { privileged: true, namespace_options: { pid: 'CONTAINER', userns_options: users } },
    } as const;
    const pod = await TestPod.run(berthd, { linux });
    const container = await pod.start(shell('sleep 1000', privileged));
    expect(await container.sh('mount -t tmpfs none /tmp && echo mounted')).toBe('mounted\n');
    const before = readFileSync('/proc/sys/kernel/panic', 'utf8');
    const attempt = await container.exec(['sh', '-c', 'echo 99 > /proc/sys/kernel/panic']);
    expect(attempt.code).not.toBe(0);
    expect(readFileSync('/proc/sys/kernel/panic', 'utf8')).toBe(before);
  });

  test('does not reach the node’s disks by nodes that its image brings along', async () => {
    const disk = { name: 'disk', mode: 0o666, blockDevice: { major: 7, minor: 0 } };
    const reference = 'localhost/disk:1';
    const file = path.join(berthd.node.directory, 'disk.tar');
    await berthd.load(writeImage(file, { reference, layers: [[...busyboxLayer, disk]] }));
    const linux = {
      security_context: { privileged: true, namespace_options: { pid: 'CONTAINER', userns_options: users } },
    } as const;
    const pod = await TestPod.run(berthd, { linux });
    const privileged = { linux: { security_context: { privileged: true } }, image: { image: reference } };
    const container = await pod.start(shell('sleep 1000', privileged));
    const attempt = await container.exec(['sh', '-c', 'test -b /disk && : < /disk']);
    expect(attempt.stderr).toContain('Operation not permitted');
    expect(attempt.code).not.toBe(0);
    expect(await container.sh(': < /dev/zero && echo open')).toBe('open\n');
  });

  test('has nothing masked for procMount Unmasked, so that a container in it can have its own /proc', async () => {
    const pod = await TestPod.run(berthd, withUsers());
    const line = 'unshare -Urpf --mount-proc ls /proc/1/exe && echo mounted; true';
    const security = (security_context: object): object => ({ linux: { security_context } });
    // A kubelet's Default has lists, its Unmasked none.
    expect(await pod.sh(line, security({ masked_paths: ['/proc/interrupts'] }))).not.toContain('mounted');
    expect(await pod.sh(line, security({}))).toContain('mounted');
  });

  test('shares one pid namespace when it shall', async () => {
    const pod = await TestPod.run(berthd, withUsers({ pid: 'POD' }));
    await pod.start(shell('exec sleep 4321'));
    expect(await pod.sh('ps')).toContain('sleep 4321');
  });

  test('survives berthd', async () => {
    const pod = await TestPod.run(berthd, withUsers());
    const container = await pod.start(shell('sleep 1000'));
    await berthd.kill9();
    await berthd.start();
    expect(await container.sh('id -u')).toBe('0\n');
    await container.stop(0);
    await container.remove();
  });

  test.each([
    ['two mappings', { uids: [...range, ...range], gids: range }],
    ['a mapping without root', { uids: [{ host_id: 1, container_id: 1, length: 9 }], gids: range }],
    ['no mapping', { uids: [], gids: [] }],
  ])('is refused with %s', async (_what, maps) => {
    await expect(TestPod.run(berthd, withUsers({ userns_options: { mode: 'POD', ...maps } }))).rejects.toThrow(
      'INVALID_ARGUMENT',
    );
  });

  test('is refused on the node’s network', async () => {
    await expect(TestPod.run(berthd, withUsers({ network: 'NODE' }))).rejects.toThrow('network namespace');
  });
});
