import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { shell, TestPod } from './harness/pods.ts';

let berthd: Berthd;
let pod: TestPod;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd);
});
afterAll(() => berthd.teardown());

const secured = (security_context: object) => ({ linux: { security_context } });
const CAP_NET_RAW = 13n;
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

async function capabilities(security: object, set = 'CapEff'): Promise<bigint> {
  const text = await pod.sh(`grep ${set} /proc/self/status | cut -f 2`, secured(security));
  return BigInt(`0x${text.trim()}`);
}

const has = (set: bigint, capability: bigint): boolean => ((set >> capability) & 1n) === 1n;

describe('the root file system', () => {
  test('can be read-only, with /dev and volumes still writable', async () => {
    const text = await pod.sh(
      'touch /x 2>&1; echo ok > /dev/shm/x && cat /dev/shm/x; echo > /dev/null && echo null',
      secured({ readonly_rootfs: true }),
    );
    expect(text).toContain('Read-only file system');
    expect(text).toContain('ok\nnull\n');
  });

  test('is writable else, and each container’s own', async () => {
    await pod.sh('echo mine > /x');
    expect(await pod.sh('test -e /x || echo clean')).toBe('clean\n');
  });
});

describe('paths', () => {
  const masked_paths = ['/proc/kcore', '/proc/timer_list', '/sys/firmware'];
  const readonly_paths = ['/proc/sys', '/proc/sysrq-trigger'];

  test('that are masked have nothing in them', async () => {
    const text = await pod.sh(
      'wc -c < /proc/timer_list; ls /sys/firmware 2>/dev/null | wc -l',
      secured({ masked_paths, readonly_paths }),
    );
    expect(text.replaceAll(' ', '')).toBe('0\n0\n');
  });

  test('that are read-only cannot be written', async () => {
    const text = await pod.sh('echo 1 > /proc/sys/vm/swappiness 2>&1; true', secured({ masked_paths, readonly_paths }));
    expect(text).toContain('Read-only file system');
  });

  test('a masked file of the image is empty', async () => {
    expect(await pod.sh('wc -c < /etc/passwd', secured({ masked_paths: ['/etc/passwd'] }))).toMatch(/^0\n/);
  });

  test('of the control groups are read-only', async () => {
    expect(await pod.sh('mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x 2>&1; true')).toContain('Read-only');
  });
});

describe('capabilities', () => {
  test('are the usual fourteen by default', async () => {
    const set = await capabilities({});
    expect(set).toBe(0xa80425fbn);
  });

  test('can be added and dropped, with and without CAP_ before the name', async () => {
    const set = await capabilities({
      capabilities: { add_capabilities: ['NET_ADMIN', 'CAP_SYS_ADMIN'], drop_capabilities: ['NET_RAW'] },
    });
    expect([CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_NET_RAW].map((one) => has(set, one))).toEqual([true, true, false]);
  });

  test('can all be dropped', async () => {
    expect(await capabilities({ capabilities: { drop_capabilities: ['ALL'] } })).toBe(0n);
    expect(await capabilities({ capabilities: { drop_capabilities: ['ALL'] } }, 'CapBnd')).toBe(0n);
  });

  test('ALL means all that berthd has', async () => {
    const set = await capabilities({ capabilities: { add_capabilities: ['ALL'] } });
    expect(has(set, CAP_SYS_ADMIN)).toBe(true);
  });

  test('of another user than root are none, unless ambient', async () => {
    expect(await capabilities({ run_as_user: { value: '1000' } })).toBe(0n);
    const ambient = {
      run_as_user: { value: '1000' },
      capabilities: { add_ambient_capabilities: ['NET_BIND_SERVICE'] },
    };
    expect(await capabilities(ambient)).toBe(1n << 10n);
  });

  test('an unknown one is refused by name', async () => {
    await expect(
      pod.create(shell('true', secured({ capabilities: { add_capabilities: ['NO_SUCH'] } }))),
    ).rejects.toThrow('NO_SUCH');
  });
});

describe('no_new_privs and seccomp', () => {
  const field = (name: string, security: object): Promise<string> =>
    pod.sh(`grep -E "^${name}:" /proc/self/status | cut -f 2`, secured(security));

  test('no_new_privs follows the config', async () => {
    expect(await field('NoNewPrivs', { no_new_privs: true })).toBe('1\n');
    expect(await field('NoNewPrivs', {})).toBe('0\n');
  });

  test('RuntimeDefault filters, Unconfined does not', async () => {
    expect(await field('Seccomp', { seccomp: { profile_type: 'RuntimeDefault' } })).toBe('2\n');
    expect(await field('Seccomp', { seccomp: { profile_type: 'Unconfined' } })).toBe('0\n');
  });

  test('RuntimeDefault lets ordinary work through and refuses a new user namespace', async () => {
    const text = await pod.sh(
      'ls / >/dev/null && unshare -U true 2>&1 || echo refused',
      secured({ seccomp: { profile_type: 'RuntimeDefault' } }),
    );
    expect(text).toMatch(/refused|not permitted/);
  });

  test('a profile of the node is applied', async () => {
    const file = path.join(berthd.node.directory, 'no-mkdir.json');
    const profile = {
      defaultAction: 'SCMP_ACT_ALLOW',
      flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW', 'SECCOMP_FILTER_FLAG_TSYNC'],
      syscalls: [
        { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
        { names: ['chmod', 'fchmodat'], action: 'SCMP_ACT_ERRNO', includes: { caps: ['CAP_SYS_ADMIN'] } },
      ],
    };
    writeFileSync(file, JSON.stringify(profile));
    const seccomp = { profile_type: 'Localhost', localhost_ref: file };
    const chmod = 'chmod 700 /tmp 2>&1 && echo changed';
    expect(await pod.sh(chmod, secured({ seccomp }))).toBe('changed\n');
    const admin = { seccomp, capabilities: { add_capabilities: ['SYS_ADMIN'] } };
    expect(await pod.sh(`${chmod}; true`, secured(admin))).toContain('not permitted');
    expect(await pod.sh('mkdir /tmp/x 2>&1; true', secured({ seccomp }))).toContain('Operation not permitted');
    expect(await pod.sh('mkdir /tmp/x 2>&1; true', secured({ seccomp, no_new_privs: true }))).toContain(
      'not permitted',
    );
  });

  test('an architecture of the other byte order is the profile’s mistake', async () => {
    const file = path.join(berthd.node.directory, 'big-endian.json');
    writeFileSync(file, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_PPC'] }));
    const seccomp = { profile_type: 'Localhost', localhost_ref: file };
    await expect(pod.create(shell('true', secured({ seccomp })))).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining('SCMP_ARCH_PPC') as unknown,
    });
  });

  test('a profile that is not there is refused by name', async () => {
    const seccomp = { profile_type: 'Localhost', localhost_ref: '/no/such/profile.json' };
    await expect(pod.create(shell('true', secured({ seccomp })))).rejects.toThrow('/no/such/profile.json');
  });
});

test('a node of the console, which a container may make, does not open that of the machine', async () => {
  const text = await pod.sh('mknod /tmp/console c 5 1 && (: >/tmp/console) 2>&1; (: </tmp/console) 2>&1; true');
  expect(text.match(/Operation not permitted/g)).toHaveLength(2);
});

describe('privileged', () => {
  test('containers have devices, capabilities and writable /sys', async () => {
    const privileged = await TestPod.run(berthd, { linux: { security_context: { privileged: true } } });
    const text = await privileged.sh(
      'grep Seccomp: /proc/self/status | cut -f 2; ls /dev | wc -l; grep " /sys sysfs" /proc/mounts',
      secured({ privileged: true }),
    );
    const [seccomp = '', devices = '', sys = ''] = text.split('\n');
    expect(seccomp).toBe('0');
    expect(Number(devices)).toBeGreaterThan(20);
    expect(sys).toMatch(/ rw[, ]/);
    await privileged.remove();
  });
});

describe('escape', () => {
  test('pause has no root, no capabilities, and a seccomp filter', async () => {
    const shared = await TestPod.run(berthd, { linux: { security_context: { namespace_options: { pid: 'POD' } } } });
    const container = await shared.start(
      shell(
        'sleep 1000',
        secured({ namespace_options: { pid: 'POD' }, capabilities: { add_capabilities: ['SYS_PTRACE'] } }),
      ),
    );
    const status = await container.sh('cat /proc/1/status');
    expect(/^CapEff:\s+(\w+)/m.exec(status)?.[1]).toBe('0000000000000000');
    expect(/^Seccomp:\s+(\d)/m.exec(status)?.[1]).toBe('2');
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).toBe('65535');
    // An empty tmpfs, read-only, with nothing but what mounts are moved over.
    expect(await container.sh('find /proc/1/root/ -type f 2>/dev/null | wc -l')).toBe('0\n');
    expect(await container.sh('touch /proc/1/root/x 2>&1 || true')).toContain('Read-only');
    expect(await container.sh('echo x 2>&1 >> /proc/1/exe || echo no')).toContain('no');
    await shared.remove();
  });
});
