import { chmodSync, cpSync, existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { chosenDifferences } from './harness/clean-start-differences.ts';
import { fixture } from './harness/fixtures.ts';
import { TestPod } from './harness/pods.ts';
import { busybox } from './harness/paths.ts';

// What a container's process is given at its start, beside what the same spec gives under Debian's runc. Every
// difference is one we chose: docs/clean-start.md says why.

let berthd: Berthd;
let selfie: string;

beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  // Containers reach it as a volume: not below /root, which is 0700.
  selfie = path.join(berthd.node.directory, 'selfie');
  cpSync(await fixture('selfie', ['-static']), selfie);
  chmodSync(selfie, 0o755);
});
afterAll(() => berthd.teardown());

interface Spec {
  ociVersion: string;
  process: { args: string[]; terminal: boolean };
  root: { path: string; readonly: boolean };
  mounts: { destination: string; type: string; source: string; options: string[] }[];
  linux: { namespaces: { type: string; path?: string }[]; cgroupsPath: string; sysctl?: object; seccomp?: object };
}

describe('a clean start', () => {
  test.each([
    ['an ordinary container', {}],
    ['a container that may not gain privileges', { no_new_privs: true, run_as_user: { value: '1000' } }],
  ])(
    '%s sees what runc would give it',
    async (_what, security) => {
      const pod = await TestPod.run(berthd);
      const mounts = [{ host_path: selfie, container_path: '/selfie', readonly: true }];
      const seccomp = { profile_type: 'RuntimeDefault' as const };
      const container = await pod.start({
        image: { image: busybox },
        command: ['/selfie'],
        mounts,
        linux: {
          security_context: {
            seccomp,
            namespace_options: { pid: 'CONTAINER' },
            ...security,
          },
          resources: { oom_score_adj: '100', memory_limit_in_bytes: String(64 * 1024 * 1024) },
        },
      });
      expect(await container.exited()).toMatchObject({ exit_code: 0 });
      const ours = container.output();
      const { info } = await berthd.cri.runtime.containerStatus({ container_id: container.id, verbose: true });
      const { runtimeSpec } = JSON.parse(info['info'] ?? '{}', exactly) as { runtimeSpec: Spec };
      const theirs = await underRunc(runtimeSpec);
      const differences = compare(ours, theirs);
      expect(differences.filter((line) => !chosenDifferences.some(({ line: chosen }) => chosen.test(line)))).toEqual(
        [],
      );
      await pod.remove();
    },
    60_000,
  );
});

/** "Unlimited" is 2^64 - 1, which no number of JavaScript is: it goes on as it was written. */
function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value) || context?.source === undefined) return value;
  return (JSON as unknown as { rawJSON(text: string): object }).rawJSON(context.source);
}

/** Runs the same spec with runc, in the node, with a root of its own made of the same busybox. */
async function underRunc(spec: Spec): Promise<string> {
  const bundle = path.join(berthd.node.directory, 'bundle');
  const rootfs = path.join(bundle, 'rootfs');
  mkdirSync(path.join(rootfs, 'bin'), { recursive: true });
  cpSync('/bin/busybox', path.join(rootfs, 'bin/busybox'));
  const forRunc: Spec = {
    ...spec,
    ociVersion: '1.0.2',
    root: { ...spec.root, path: rootfs },
    mounts: spec.mounts
      .map((mount) =>
        mount.source === 'berth:shm'
          ? {
              ...mount,
              type: 'tmpfs',
              source: 'shm',
              options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
            }
          : { ...mount, options: mount.options.filter((option) => !option.startsWith('x-')) },
      )
      .filter((mount) => mount.type !== 'mqueue'),
    linux: {
      ...spec.linux,
      namespaces: ['mount', 'cgroup', 'network', 'ipc', 'uts', 'pid'].map((type) => ({ type })),
      cgroupsPath: `/${berthd.node.cgroupPrefix}/runc`,
      // runc 1.1, which Debian 12 has, refuses every flag; the one of the default profile, SPEC_ALLOW, is what it then sets.
      ...(spec.linux.seccomp && { seccomp: { ...spec.linux.seccomp, flags: undefined } }),
    },
  };
  writeFileSync(path.join(bundle, 'config.json'), JSON.stringify(forRunc));
  const root = path.join(berthd.node.directory, 'runc');
  const { code, stdout, stderr } = await berthd.node.run(['runc', '--root', root, 'run', '--bundle', bundle, 'beside']);
  // runc makes the group in the bare v2 hierarchy of a hybrid layout too, and leaves its parent there.
  const left = `/sys/fs/cgroup/unified/${berthd.node.cgroupPrefix}`;
  if (existsSync(left)) rmdirSync(left);
  if (code !== 0) throw new Error(`runc ended with ${code}: ${stderr}`);
  return stdout;
}

/** Lines that only one of the two has: "- " only runc's, "+ " only ours. */
function compare(ours: string, theirs: string): string[] {
  const lines = (text: string): string[] => text.split('\n').map((line) => line.replace(/\s+/g, ' ').trim());
  const [mine, other] = [lines(ours), lines(theirs)];
  return [
    ...other.filter((line) => !mine.includes(line)).map((line) => `- ${line}`),
    ...mine.filter((line) => !other.includes(line)).map((line) => `+ ${line}`),
  ];
}
