import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Mount } from '#cri-api/gen/runtime/v1/Mount';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { shell, TestPod } from './harness/pods.ts';

let berthd: Berthd;
let pod: TestPod;
let serial = 0;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd);
});
afterAll(() => berthd.teardown());

/** A fresh directory of the node with a file in it. */
function volume(): string {
  serial += 1;
  const directory = path.join(berthd.node.directory, `volume-${serial}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(path.join(directory, 'file'), 'content\n');
  return directory;
}

const mount = (host_path: string, more: Mount = {}): Mount => ({ host_path, container_path: '/data', ...more });

async function onNode(line: string): Promise<string> {
  const { code, stdout, stderr } = await berthd.node.run(['sh', '-c', line]);
  if (code !== 0) throw new Error(`on the node "${line}" ended with ${code}\n${stdout}${stderr}`);
  return stdout;
}

describe('a volume', () => {
  test('is a directory of the node, read and written', async () => {
    const directory = volume();
    expect(await pod.sh('cat /data/file; echo back > /data/answer', { mounts: [mount(directory)] })).toBe('content\n');
    expect(readFileSync(path.join(directory, 'answer'), 'utf8')).toBe('back\n');
  });

  test('can be a single file', async () => {
    const file = path.join(volume(), 'file');
    expect(await pod.sh('cat /data', { mounts: [mount(file)] })).toBe('content\n');
  });

  test('can be read-only', async () => {
    const text = await pod.sh('cat /data/file; touch /data/x 2>&1; true', {
      mounts: [mount(volume(), { readonly: true })],
    });
    expect(text).toContain('content\n');
    expect(text).toContain('Read-only file system');
  });

  test('with the options that Status says are possible', async () => {
    const { features } = await berthd.cri.runtime.status({});
    expect(features?.mount_options).toBe(true);
    const mounts = [mount(volume(), { mount_options: ['noexec', 'nosuid', 'nodev'] })];
    const text = await pod.sh('cp /bin/busybox /data/b; /data/b true 2>&1; grep " /data " /proc/mounts', { mounts });
    expect(text).toContain('Permission denied');
    expect(text).toMatch(/nosuid,nodev,noexec/);
  });

  test('read-only for all that is mounted in it, when asked', async () => {
    const directory = volume();
    mkdirSync(path.join(directory, 'sub'));
    await onNode(`mount -t tmpfs none ${directory}/sub`);
    const recursive = mount(directory, { readonly: true, recursive_read_only: true });
    const plain = mount(directory, { readonly: true });
    expect(await pod.sh('touch /data/sub/x 2>&1; true', { mounts: [recursive] })).toContain('Read-only');
    expect(await pod.sh('touch /data/sub/x && echo done', { mounts: [plain] })).toBe('done\n');
    await onNode(`umount ${directory}/sub`);
  });

  test('hides what the image has there; a target that is missing is made', async () => {
    const mounts = [mount(volume(), { container_path: '/etc/deep/er' })];
    expect(await pod.sh('cat /etc/deep/er/file', { mounts })).toBe('content\n');
  });

  test('a target that is a symbolic link stays inside the container', async () => {
    const directory = volume();
    const outside = path.join(berthd.node.directory, 'outside');
    mkdirSync(outside);
    const first = volume();
    symlinkSync(outside, path.join(first, 'link'));
    const mounts = [mount(first), mount(directory, { container_path: '/data/link/inner' })];
    await pod.sh('true', { mounts }).catch(() => undefined);
    expect(existsSync(path.join(outside, 'inner'))).toBe(false);
  });

  test('several lie in the order of their paths', async () => {
    const [outer, inner] = [volume(), volume()];
    writeFileSync(path.join(inner, 'file'), 'inner\n');
    const mounts = [mount(inner, { container_path: '/data/sub' }), mount(outer)];
    expect(await pod.sh('cat /data/file', { mounts })).toBe('content\n');
  });

  test('is told in the status as it was asked', async () => {
    const mounts = [mount(volume(), { readonly: true })];
    const container = await pod.create(shell('true', { mounts }));
    expect((await container.status()).mounts).toMatchObject([{ container_path: '/data', readonly: true }]);
    await container.remove();
  });

  test('leaves no mount on the node', async () => {
    const before = berthd.node.mounts();
    const container = await pod.start(shell('sleep 1000', { mounts: [mount(volume())] }));
    expect(berthd.node.mounts()).toEqual(before);
    await container.remove();
  });
});

describe('propagation', () => {
  const seen = '[ -e /data/sub/late ] && echo seen || echo unseen';

  async function mountedLater(propagation: NonNullable<Mount['propagation']>): Promise<string> {
    const directory = volume();
    mkdirSync(path.join(directory, 'sub'));
    const container = await pod.start(shell('sleep 1000', { mounts: [mount(directory, { propagation })] }));
    await onNode(`mount -t tmpfs none ${directory}/sub && touch ${directory}/sub/late`);
    const text = await container.sh(seen);
    await onNode(`umount ${directory}/sub`);
    expect(await container.sh(seen)).toBe('unseen\n');
    await container.remove();
    return text;
  }

  test('none: what the node mounts later is not seen', async () => {
    expect(await mountedLater('PROPAGATION_PRIVATE')).toBe('unseen\n');
  });

  test('from the node: it is seen, and goes again', async () => {
    expect(await mountedLater('PROPAGATION_HOST_TO_CONTAINER')).toBe('seen\n');
  });

  test('both ways: what the container mounts is seen on the node', async () => {
    const directory = volume();
    const privileged = await TestPod.run(berthd, { linux: { security_context: { privileged: true } } });
    const container = await privileged.start(
      shell('mkdir /data/sub && mount -t tmpfs none /data/sub && touch /data/sub/late && sleep 1000', {
        mounts: [mount(directory, { propagation: 'PROPAGATION_BIDIRECTIONAL' })],
        linux: { security_context: { privileged: true } },
      }),
    );
    await container.sh('i=0; until [ -e /data/sub/late ] || [ $i -gt 50 ]; do i=$((i+1)); sleep 0.1; done');
    expect(await onNode(`ls ${directory}/sub`)).toBe('late\n');
    await onNode(`umount ${directory}/sub`);
    expect(await container.sh(seen)).toBe('unseen\n');
    await privileged.remove();
  });

  test('from the node needs a shared mount and says so', async () => {
    const directory = volume();
    await onNode(`mount -t tmpfs none ${directory} && mount --make-private ${directory}`);
    const create = pod.create(
      shell('true', { mounts: [mount(directory, { propagation: 'PROPAGATION_BIDIRECTIONAL' })] }),
    );
    await expect(create).rejects.toThrow(directory);
    await onNode(`umount ${directory}`);
  });

  test('a volume the node unmounts while a container runs is free again', async () => {
    const directory = volume();
    await onNode(`mount -t tmpfs none ${directory}`);
    const sibling = await pod.start(shell('sleep 1000'));
    const container = await pod.start(
      shell('sleep 1000', { mounts: [mount(directory, { propagation: 'PROPAGATION_HOST_TO_CONTAINER' })] }),
    );
    await container.remove();
    await onNode(`umount ${directory}`);
    await sibling.remove();
  });
});
