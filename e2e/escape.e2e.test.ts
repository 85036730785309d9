import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CriError } from '#cri-api/client';
import type { Capability } from '#cri-api/gen/runtime/v1/Capability';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { LinuxContainerSecurityContext } from '#cri-api/gen/runtime/v1/LinuxContainerSecurityContext';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { fixture } from './harness/fixtures.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// A hostile container (fixtures/escape.c, which also names what is not tried) beside execs and creates. What it may never
// find is the node: its files, its descriptors, a process with more than a container has.

/** How often everything is done; more for a longer run. */
const rounds = Number(process.env['BERTH_ESCAPE_ROUNDS'] ?? 1);
const execs = 30 * rounds;
const creates = 10 * rounds;

const devices = { null: [1, 3], zero: [1, 5], full: [1, 7], random: [1, 8], urandom: [1, 9], tty: [5, 0] } as const;
// A /dev of the node's own: what this test tries must not hurt the machine, whatever it finds.
const makeDev = [
  'mount -t tmpfs -o mode=755 tmpfs /dev && mkdir /dev/pts /dev/shm',
  'mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts && ln -s pts/ptmx /dev/ptmx',
  ...Object.entries(devices).map(([name, [major, minor]]) => `mknod -m 666 /dev/${name} c ${major} ${minor}`),
].join(' && ');

const secret = 'what-a-sibling-keeps-to-itself';
let berthd: Berthd;
let marker: string;
beforeAll(async () => {
  berthd = await startBerthd({
    node: { whole: true },
    prepare: async (node) => {
      const { code, stderr } = await node.run(['sh', '-c', makeDev]);
      if (code !== 0) throw new Error(`no /dev for the node: ${stderr}`);
    },
  });
  await berthd.loadBusybox();
  const files = path.join(berthd.node.directory, 'own');
  mkdirSync(files);
  marker = path.join(files, 'marker');
  writeFileSync(marker, "the node's own\n");
  mkdirSync(path.join(berthd.logs, 'x'), { recursive: true });
  cpSync(await fixture('escape', ['-static']), path.join(berthd.logs, 'x', 'escape'));
});
afterAll(() => berthd.teardown());

async function nodesDevices(): Promise<string> {
  const paths = Object.keys(devices).map((name) => `/dev/${name}`);
  return (await berthd.node.run(['stat', '-c', '%n %F %a %u %g', ...paths])).stdout;
}

function program(...args: string[]): ContainerConfig {
  return {
    image: shell('').image ?? null,
    command: ['/x/escape', ...args],
    envs: [{ key: 'WHO', value: Buffer.from('attacker') }],
    mounts: [{ host_path: path.join(berthd.logs, 'x'), container_path: '/x', readonly: true }],
  };
}

const runtimeDefault: LinuxContainerSecurityContext = { seccomp: { profile_type: 'RuntimeDefault' } };
type Held = 'default capabilities' | 'SYS_PTRACE alone' | 'all capabilities';
const capabilities: Record<Held, Capability> = {
  'default capabilities': {},
  'SYS_PTRACE alone': { drop_capabilities: ['ALL'], add_capabilities: ['SYS_PTRACE'] },
  'all capabilities': { add_capabilities: ['ALL'] },
};
type PidMode = 'POD' | 'CONTAINER' | 'TARGET' | 'NODE';
const cases: (readonly [PidMode, Held])[] = [
  ...(['POD', 'CONTAINER', 'TARGET'] as const).flatMap((pid) =>
    (Object.keys(capabilities) as Held[]).map((name) => [pid, name] as const),
  ),
  ['NODE', 'default capabilities'],
];

function confined(config: ContainerConfig, context: LinuxContainerSecurityContext): ContainerConfig {
  return { ...config, linux: { security_context: context } };
}

/** What the attacker does to processes that it may trace can fail them: that is its own loss. */
async function tried(work: Promise<unknown>): Promise<number> {
  return work.then(
    () => 1,
    (error: unknown) => {
      if (error instanceof CriError) return 0;
      throw error;
    },
  );
}

async function besides(pod: TestPod, attacker: TestContainer, context: LinuxContainerSecurityContext): Promise<number> {
  let done = 0;
  const count = async (work: Promise<unknown>): Promise<void> => {
    const more = await tried(work);
    done += more;
  };
  const exec = async (): Promise<void> => {
    for (let i = 0; i < execs; i++) await count(attacker.exec(['/bin/true'], 2));
  };
  const terminals = async (): Promise<void> => {
    const command = berthd.crictlCommand(['exec', '-i', '-t', attacker.id, '/bin/true']);
    for (let i = 0; i < 3 * rounds; i++) await berthd.node.run(['script', '-qec', command.join(' '), '/dev/null']);
  };
  const create = async (): Promise<void> => {
    for (let i = 0; i < creates; i++) {
      const config = confined(shell('exec sleep 1000'), context);
      const made = pod.create({ ...config, envs: [{ key: 'SECRET', value: Buffer.from(secret) }] });
      if ((await tried(made)) === 0) continue;
      const sibling = await made;
      await count(sibling.start());
      await sibling.remove();
    }
  };
  await Promise.all([exec(), exec(), terminals(), create()]);
  return done;
}

/** What it says it has found, besides how much it has looked at. */
function findings(output: string): {
  readonly found: readonly string[];
  readonly looks: number;
  readonly seen: number;
} {
  const lines = output.split('\n').slice(0, -2);
  const number = (name: string): number => Number(lines.find((line) => line.startsWith(`${name} `))?.split(' ')[1]);
  const found = lines.filter((line) => !/^(begins|looks|seen)\b/.test(line));
  return { found, looks: number('looks'), seen: number('seen') };
}

describe('a hostile container', () => {
  test.each(cases)('in pid mode %s with %s finds nothing of the node', async (pid, held) => {
    const pod = await TestPod.run(berthd, {
      linux: { security_context: { namespace_options: { pid: pid === 'TARGET' ? 'CONTAINER' : pid } } },
    });
    const context = { ...runtimeDefault, capabilities: capabilities[held] };
    const mode = pid === 'TARGET' ? 'CONTAINER' : pid;
    const before = await nodesDevices();
    const args = ['120', marker, Buffer.from(secret).reverse().toString(), ...(pid === 'NODE' ? ['node'] : [])];
    const attacker = await pod.start(confined(program(...args), { ...context, namespace_options: { pid: mode } }));
    await eventually('the attacker begins', () => attacker.output().includes('begins'));
    const joins = pid === 'TARGET' ? { pid, target_id: attacker.id } : { pid: mode };
    const done = await besides(pod, attacker, { ...context, namespace_options: joins });
    // Who may not trace disturbs nobody.
    expect(done).toBeGreaterThanOrEqual(held === 'default capabilities' ? 2 * execs + creates : 1);
    await attacker.stop(10);
    const output = attacker.output();
    expect(output).toContain('ends\n'); // nobody else has ended it
    const { found, looks } = findings(output);
    expect(found).toEqual([]);
    expect(looks).toBeGreaterThan(0);
    expect(await nodesDevices()).toBe(before);
    expect(readdirSync(path.dirname(marker))).toEqual(['marker']);
    await pod.remove();
  });

  test('that makes the shim its tracer is neither taken for ended nor held', async () => {
    const pod = await TestPod.run(berthd);
    const traced = await pod.start(confined(program('traced'), runtimeDefault));
    await eventually('it goes on', () => traced.output().includes('goes on'));
    expect((await traced.status()).state).toBe('CONTAINER_RUNNING');
    await pod.remove();
  });

  test('cannot change the runtime’s program: it runs from a mount of its own that is read-only', async () => {
    const pod = await TestPod.run(berthd, { linux: { security_context: { namespace_options: { pid: 'POD' } } } });
    const context = { ...runtimeDefault, capabilities: capabilities['SYS_PTRACE alone'] };
    const container = await pod.start(confined(shell('sleep 1000'), { ...context, namespace_options: { pid: 'POD' } }));
    const { stderr } = await container.exec(['/bin/sh', '-c', 'chmod 755 /proc/1/exe']);
    expect(stderr).toContain('Read-only file system');
    await pod.remove();
  });
});
