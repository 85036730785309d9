import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { CrictlPod } from './harness/crictl-pod.ts';
import { podConfig, shell } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// What the other suites prove in depth through the CRI, once through the real crictl: its configs are JSON with enums
// as numbers, and what it leaves out arrives as a default.

let berthd: Berthd;
let pod: CrictlPod;
let serial = 0;
const made: string[] = [];

beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await CrictlPod.run(berthd, podConfig(berthd));
});
afterAll(async () => {
  await pod.remove(made);
  await berthd.teardown();
});

async function start(line: string, more: object = {}): Promise<string> {
  serial += 1;
  const id = await pod.start({
    ...shell(line),
    metadata: { name: `c${serial}`, attempt: 0 },
    log_path: `c${serial}.log`,
    ...more,
  });
  made.push(id);
  return id;
}

/** Starts a container that sleeps and gives what a shell line prints in it. */
async function inside(line: string, more: object): Promise<string> {
  return berthd.crictlOk('exec', '--sync', await start('sleep 1000', more), 'sh', '-c', line);
}

const security = (security_context: object): object => ({ linux: { security_context } });

interface Inspected {
  readonly status: { readonly state: string; readonly reason: string; readonly exitCode: number };
}

describe('crictl', () => {
  test('limits', async () => {
    const resources = { memory_limit_in_bytes: 67_108_864, cpu_shares: 512, cpu_quota: 50_000, cpu_period: 100_000 };
    const files = 'memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us';
    const line = `cd /sys/fs/cgroup && if [ -e memory.max ]; then cat memory.max cpu.weight cpu.max; else cat ${files}; fi`;
    const printed = (await inside(line, { linux: { resources } })).split('\n');
    expect([
      ['67108864', '512', '50000'],
      ['67108864', '59', '50000 100000'],
    ]).toContainEqual(printed);
  });

  test('out of memory', async () => {
    const resources = { memory_limit_in_bytes: 16_777_216 };
    const id = await start('exec dd if=/dev/zero of=/dev/null bs=100M count=1', { linux: { resources } });
    const status = await eventually('the container is killed', async () => {
      const inspected = JSON.parse(await berthd.crictlOk('inspect', id)) as Inspected;
      return inspected.status.state === 'CONTAINER_EXITED' && inspected.status;
    });
    expect(status).toMatchObject({ reason: 'OOMKilled', exitCode: 137 });
  });

  test('users and groups', async () => {
    const context = { run_as_user: { value: 1000 }, run_as_group: { value: 1001 }, supplemental_groups: [1002] };
    expect(await inside('id -u; id -g; id -G', security(context))).toBe('1000\n1001\n1001 1002');
  });

  test('a read-only root', async () => {
    expect(await inside('touch /x 2>&1 || true', security({ readonly_rootfs: true }))).toContain(
      'Read-only file system',
    );
  });

  test('masked and read-only paths', async () => {
    const context = { masked_paths: ['/proc/interrupts', '/sys/firmware'], readonly_paths: ['/proc/sys'] };
    const id = await start('sleep 1000', security(context));
    const printed = (line: string) => berthd.crictlOk('exec', '--sync', id, 'sh', '-c', `(${line}) 2>&1 || true`);
    expect(await printed('wc -c </proc/interrupts')).toBe('0');
    expect(await printed('ls /sys/firmware')).toBe('');
    expect(await printed('echo x >/proc/sys/kernel/domainname')).toContain('Read-only file system');
  });

  test.each([
    ['RuntimeDefault', 0, '2'],
    ['Unconfined', 1, '0'],
  ])('seccomp %s', async (_name, profile_type, mode) => {
    const line = 'grep ^Seccomp: /proc/self/status | cut -f 2';
    expect(await inside(line, security({ seccomp: { profile_type } }))).toBe(mode);
  });

  test('capabilities', async () => {
    const capabilities = { drop_capabilities: ['ALL'], add_capabilities: ['NET_BIND_SERVICE'] };
    expect(await inside('grep CapEff /proc/self/status | cut -f 2', security({ capabilities }))).toBe(
      '0000000000000400',
    );
  });

  test.each([
    ['private', 0, 'no', 'no'],
    ['host to container', 1, 'yes', 'no'],
    ['bidirectional', 2, 'yes', 'yes'],
  ])('a volume with %s propagation', async (_name, propagation, toContainer, toNode) => {
    const volume = path.join(berthd.node.directory, `propagation-${propagation}`);
    mkdirSync(path.join(volume, 'from-node'), { recursive: true });
    mkdirSync(path.join(volume, 'from-container'));
    const privileged = {
      mounts: [{ host_path: volume, container_path: '/v', propagation }],
      ...security({ capabilities: { add_capabilities: ['SYS_ADMIN'] } }),
    };
    const id = await start('sleep 1000', privileged);
    const onNode = (line: string) => berthd.node.run(['sh', '-c', line]);
    await onNode(`mount -t tmpfs none ${volume}/from-node && touch ${volume}/from-node/mark`);
    const seen = await berthd.crictlOk(
      'exec',
      '--sync',
      id,
      'sh',
      '-c',
      '[ -e /v/from-node/mark ] && echo yes || echo no',
    );
    await berthd.crictlOk(
      'exec',
      '--sync',
      id,
      'sh',
      '-c',
      'mount -t tmpfs none /v/from-container && touch /v/from-container/mark',
    );
    const { stdout } = await onNode(`[ -e ${volume}/from-container/mark ] && echo yes || echo no`);
    await onNode(`umount ${volume}/from-node; umount ${volume}/from-container`);
    expect({ seen, back: stdout.trim() }).toEqual({ seen: toContainer, back: toNode });
  });
});
