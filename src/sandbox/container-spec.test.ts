import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ContainerConfig__Output } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { Mount__Output } from '#cri-api/gen/runtime/v1/Mount';
import type { PodSandboxConfig__Output } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import type { Image } from '#images/image-store';
import type { ContainerInput } from '#runtime/container-input';
import { containerWords } from './container-spec.ts';
import { containerConfig, namespaceOption, podConfig, podWith, securityContext } from './cri-config.fixture.ts';
import type { SecurityModules } from '#linux/security-modules';
import { podFilesIn } from './pod-files.ts';

const image: Image = {
  id: 'sha256:1',
  repoTags: [],
  repoDigests: [],
  size: 1,
  pinned: false,
  createdAtNs: 0n,
  config: {
    user: '',
    env: [],
    entrypoint: [],
    cmd: ['sh'],
    workingDir: 'app/../srv',
    volumes: ['/data', '/cache/', '/'],
    labels: { 'io.katacontainers.config': 'x' },
    stopSignal: '',
    architecture: 'amd64',
    os: 'linux',
  },
};

async function build(
  config: Partial<ContainerConfig__Output> = {},
  pod: PodSandboxConfig__Output = podConfig(),
): Promise<Omit<ContainerInput, 'document'>> {
  return (await words(config, pod)).input;
}

function words(
  config: Partial<ContainerConfig__Output> = {},
  pod: PodSandboxConfig__Output = podConfig(),
  kernel: Partial<SecurityModules> = {},
): ReturnType<typeof containerWords> {
  return containerWords({
    podId: 'p',
    id: 'c',
    pod,
    config: containerConfig(config),
    image,
    accounts: { passwd: async () => '', group: async () => '' },
    warn: () => undefined,
    layers: { directory: '/layers', lowers: ['1'] },
    directory: '/containers/c',
    podFiles: podFilesIn('/pods/p'),
    nodeHostname: 'node',
    defaultCgroupParent: '/berth',
    setupTimeoutMs: 1000,
    kernel: { apparmor: false, selinux: false, seccomp: true, ...kernel },
  });
}

const linux = (changes: Parameters<typeof securityContext>[0]): Partial<ContainerConfig__Output> => ({
  linux: { resources: null, security_context: securityContext(changes) },
});

const volume = (changes: Partial<Mount__Output>): Mount__Output => ({
  container_path: '/v',
  host_path: '/srv/v',
  readonly: false,
  selinux_relabel: false,
  propagation: 'PROPAGATION_PRIVATE',
  uidMappings: [],
  gidMappings: [],
  recursive_read_only: false,
  image: null,
  image_sub_path: '',
  mount_options: [],
  ...changes,
});

const oneId = { host_id: 1, container_id: 0, length: 1 };

describe('a container’s request in the runtime’s words', () => {
  test('labels of the image decide nothing (CVE-2026-53488)', async () => {
    expect(JSON.stringify(await build(), (_k, v: unknown) => (typeof v === 'bigint' ? `${v}` : v))).not.toContain(
      'katacontainers',
    );
  });

  test('its cgroup is below the pod’s parent, or the default one', async () => {
    expect((await build()).cgroupPath).toBe('/berth/c');
    expect((await build({}, podWith({}, { cgroupParent: '/kubepods/pod1' }))).cgroupPath).toBe('/kubepods/pod1/c');
  });

  test('a relative WORKDIR of the image becomes absolute, the request’s wins', async () => {
    expect((await build()).cwd).toBe('/srv');
    expect((await build({ working_dir: '/w' })).cwd).toBe('/w');
  });

  test('image VOLUMEs that no mount covers are kept', async () => {
    expect((await build({ mounts: [volume({ container_path: '/data' })] })).rootfs.volumes).toEqual(['/cache']);
  });

  test('the pod’s files are mounted unless the request brings its own', async () => {
    const own = await build({ mounts: [volume({ container_path: '/etc/hosts/' })] });
    expect(own.mounts.filter(({ destination }) => destination.startsWith('/etc/')).map((m) => m.source)).toEqual([
      '/pods/p/hostname',
      '/pods/p/resolv.conf',
      '/srv/v',
    ]);
  });

  test('the pod’s files are no programs and no devices, volumes what is asked for', async () => {
    const { mounts } = await build({ mounts: [volume({ container_path: '/data' })] });
    const closed = mounts.filter(({ nosuid, nodev, noexec }) => nosuid && nodev && noexec);
    expect(closed.map(({ source }) => source)).toEqual(['/pods/p/hosts', '/pods/p/hostname', '/pods/p/resolv.conf']);
  });

  test('no log path without a log directory', async () => {
    expect((await build()).logPath).toBe('/var/log/pods/web/app/0.log');
    expect((await build({}, podConfig({ log_directory: '' }))).logPath).toBe('');
  });

  test.each(['/', '//', '/.', '/tmp/..'])(
    'a read-only path %s is the root, which is no mount at a path of its own',
    async (root) => {
      const asked = { readonly_paths: ['/tmp', root] };
      expect(await build(linux(asked))).toMatchObject({ rootfs: { readonly: true }, readonlyPaths: ['/tmp'] });
      const pod = podWith({}, { privileged: true });
      const privileged = await build(linux({ ...asked, privileged: true }), pod);
      expect(privileged).toMatchObject({ rootfs: { readonly: false } });
    },
  );

  test('procMount Unmasked: empty lists in a pod with users of its own mean that nothing is masked', async () => {
    const uids = [{ container_id: 0, host_id: 65_536, length: 65_536 }];
    const pod = podWith({ userns_options: { mode: 'POD', uids, gids: uids } });
    expect(await build(linux({}), pod)).toMatchObject({ maskedPaths: [], readonlyPaths: [] });
    const masked = linux({ masked_paths: ['/proc/kcore'] });
    expect(await build(masked, pod)).toMatchObject({ maskedPaths: ['/proc/kcore'], readonlyPaths: [] });
    expect((await build({}, pod)).maskedPaths).toContain('/proc/kcore');
  });

  test('empty lists of masked paths mean the usual ones', async () => {
    expect((await build()).maskedPaths).toContain('/proc/kcore');
    expect((await build(linux({ masked_paths: ['/x'] }))).maskedPaths).toEqual(['/x']);
  });

  test('pid modes', async () => {
    const pidOf = async (pid: 'POD' | 'CONTAINER' | 'NODE' | 'TARGET', target = ''): Promise<unknown> =>
      (await build(linux({ namespace_options: namespaceOption({ pid, target_id: target }) }))).pid;
    expect(await pidOf('POD')).toBe('pod');
    expect(await pidOf('CONTAINER')).toBe('container');
    expect(await pidOf('NODE')).toBe('node');
    expect(await pidOf('TARGET', 'x')).toEqual({ target: 'x' });
    await expect(pidOf('TARGET')).rejects.toThrow('needs target_id');
  });

  test('privileged needs a pod that is', async () => {
    await expect(build(linux({ privileged: true }))).rejects.toThrow('privileged');
    await expect(build(linux({ privileged: true }), podWith({}, { privileged: true }))).resolves.toMatchObject({
      privileged: true,
    });
  });

  test.each([
    ['a relative source', volume({ host_path: 'x' }), 'absolute path'],
    ['no destination', volume({ container_path: '' }), 'container_path'],
    ['recursive read-only that is writable', volume({ recursive_read_only: true }), 'needs readonly'],
    [
      'recursive read-only that propagates',
      volume({ recursive_read_only: true, readonly: true, propagation: 'PROPAGATION_HOST_TO_CONTAINER' }),
      'needs private',
    ],
    ['an unknown option', volume({ mount_options: ['suid'] }), 'mount option suid'],
    [
      'a volume mapped to ids that are not the pod’s',
      volume({ uidMappings: [oneId], gidMappings: [oneId] }),
      'not those of the pod',
    ],
  ])('%s is refused', async (_what, mount, message) => {
    await expect(build({ mounts: [mount] })).rejects.toThrow(message);
  });

  test('a memory limit without a word on swap allows none beyond it', async () => {
    const resources = {
      cpu_period: '0',
      cpu_quota: '0',
      cpu_shares: '2',
      memory_limit_in_bytes: '1048576',
      oom_score_adj: '-998',
      cpuset_cpus: '',
      cpuset_mems: '',
      hugepage_limits: [],
      unified: {},
      memory_swap_limit_in_bytes: '0',
    };
    const built = await build({ linux: { resources, security_context: null } });
    expect(built.resources).toMatchObject({ cpuShares: 2n, memoryLimit: 1048576n, memorySwap: 1048576n });
    expect(built.oomScoreAdj).toBe(-998);
  });
});

describe('security of a container', () => {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'bs-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  const profile = (text: string): Promise<string> => {
    const file = path.join(directory, 'profile.json');
    return writeFile(file, text).then(() => file);
  };
  const localhost = (file: string): Partial<ContainerConfig__Output> =>
    linux({ seccomp: { profile_type: 'Localhost', localhost_ref: file } });

  test.each([
    [linux({}), 'unconfined'],
    [linux({ seccomp: { profile_type: 'RuntimeDefault', localhost_ref: '' } }), 'runtimeDefault'],
    [linux({ seccomp_profile_path: 'runtime/default' }), 'runtimeDefault'],
    [linux({ seccomp_profile_path: 'unconfined' }), 'unconfined'],
  ])('seccomp of %#', async (config, type) => {
    expect((await build(config)).seccomp.type).toBe(type);
  });

  test('a Localhost profile is read from its absolute path', async () => {
    const file = await profile(
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod"],"action":"SCMP_ACT_ERRNO"}]}',
    );
    expect((await build(localhost(file))).seccomp).toMatchObject({
      type: 'profile',
      profile: { defaultAction: 'SCMP_ACT_ALLOW' },
    });
    await expect(build(localhost('profile.json'))).rejects.toThrow('not an absolute path');
    await expect(build(localhost('/nonexistent/x'))).rejects.toThrow('/nonexistent/x');
    await expect(build(localhost('/dev/zero'))).rejects.toThrow('not a regular file');
    await expect(build(localhost(await profile('[1]')))).rejects.toThrow('not an object');
  });

  test('where the kernel has no seccomp a filter is refused, and none taken', async () => {
    const without = (changes: Parameters<typeof linux>[0]): ReturnType<typeof words> =>
      words(linux(changes), podConfig(), { seccomp: false });
    await expect(without({ seccomp_profile_path: 'runtime/default' })).rejects.toThrow('this kernel has no seccomp');
    await expect(without({ seccomp_profile_path: 'unconfined' })).resolves.toBeDefined();
    await expect(without({})).resolves.toBeDefined();
  });

  test('what the node’s modules make of the request', async () => {
    const named = linux({ apparmor: { profile_type: 'Localhost', localhost_ref: 'localhost/web' } });
    expect((await words(named, podConfig(), { apparmor: true })).input.apparmorProfile).toBe('web');
    await expect(words(named)).rejects.toThrow('AppArmor is not active');
    const labelled = linux({ selinux_options: { user: '', role: '', type: 'container_t', level: '' } });
    await expect(words(labelled, podConfig(), { selinux: true })).rejects.toThrow('selinux_options are set');
    await expect(words(labelled)).resolves.toBeDefined();
  });

  test('a privileged container has none, and its profile is not looked for', async () => {
    const config = linux({ privileged: true, seccomp: { profile_type: 'Localhost', localhost_ref: '/nonexistent/x' } });
    expect((await build(config, podWith({}, { privileged: true }))).seccomp.type).toBe('unconfined');
  });

  test('a Localhost profile is found with the prefix of the deprecated field, too', async () => {
    const file = await profile('{"defaultAction":"SCMP_ACT_ALLOW"}');
    expect((await build(localhost(`localhost/${file}`))).seccomp.type).toBe('profile');
    expect((await build(linux({ seccomp_profile_path: `localhost/${file}` }))).seccomp.type).toBe('profile');
  });

  test('what a profile says for nobody is told: fields that are unknown, or nothing at all', async () => {
    const odd = await profile('{"defaultAction":"SCMP_ACT_ALLOW","zzz":1}');
    expect((await words(localhost(odd))).warnings).toEqual([`seccomp profile ${odd}: unknown fields: zzz`]);
    const empty = await profile('{}');
    const { input, warnings } = await words(localhost(empty));
    expect(input.seccomp.type).toBe('unconfined');
    expect(warnings).toEqual([`seccomp profile ${empty} says nothing: the container has no filter`]);
  });

  test.each([
    [{ seccomp: { profile_type: 'RuntimeDefault', localhost_ref: '/x' } }, 'seccomp: localhost_ref is set'],
    [{ seccomp: { profile_type: 7, localhost_ref: '' } }, 'seccomp: profile_type 7 is unknown'],
    [{ seccomp: { profile_type: 'Localhost', localhost_ref: '' } }, 'seccomp: Localhost needs localhost_ref'],
    [{ seccomp_profile_path: 'localhost/' }, 'seccomp: Localhost needs localhost_ref'],
    [{ seccomp_profile_path: 'strict' }, 'seccomp_profile_path "strict" is not one of'],
  ])('%j is refused', async (changes, message) => {
    await expect(build(linux(changes as Parameters<typeof linux>[0]))).rejects.toThrow(message);
  });
});
