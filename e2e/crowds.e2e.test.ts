import { cpSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { fixture } from './harness/fixtures.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// Containers of thousands of processes, which end without anybody else's waiting for it.

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  cpSync(await fixture('crowd', ['-static']), path.join(berthd.logs, 'crowd'));
});
afterAll(() => berthd.teardown());

const many = 10_000;
const pidModes = ['POD', 'CONTAINER'] as const;

function crowd(): ContainerConfig {
  return {
    image: shell('').image ?? null,
    command: ['/crowd/crowd', String(many)],
    mounts: [{ host_path: berthd.logs, container_path: '/crowd', readonly: true }],
  };
}

async function runPod(pid: (typeof pidModes)[number]): Promise<TestPod> {
  return TestPod.run(berthd, { linux: { security_context: { namespace_options: { pid } } } });
}

async function filled(container: TestContainer): Promise<TestContainer> {
  await eventually(`${many} are here`, () => container.output().includes(`${many} are here`), 60_000);
  return container;
}

/** Groups of the container, in every hierarchy, that are not as they should be: with processes, or frozen. */
function left(id: string): string[] {
  return berthd.node
    .cgroups()
    .filter((group) => group.includes(id))
    .flatMap((group) => {
      const files = readdirSync(group);
      const processes = readFileSync(path.join(group, 'cgroup.procs'), 'utf8').split('\n').length - 1;
      const frozen =
        files.includes('freezer.state') &&
        !readFileSync(path.join(group, 'freezer.state'), 'utf8').startsWith('THAWED');
      return processes > 0 || frozen ? [`${group}: ${processes} processes${frozen ? ', frozen' : ''}`] : [];
    });
}

describe('a container of ten thousand processes', () => {
  test.each(pidModes)('is stopped while execs beside it are answered (pid namespace: %s)', async (pid) => {
    const pod = await runPod(pid);
    const beside = await pod.start(shell('sleep 1000'));
    const container = await filled(await pod.start(crowd()));
    let stopped = false;
    const began = performance.now();
    const stop = container.stop(0).finally(() => (stopped = true));
    let slowest = 0;
    let answered = 0;
    while (!stopped) {
      const asked = performance.now();
      expect(await beside.exec(['true'])).toMatchObject({ code: 0 });
      slowest = Math.max(slowest, performance.now() - asked);
      answered += 1;
    }
    await stop;
    console.log(
      `pid ${pid}: stopped in ${Math.round(performance.now() - began)} ms; ${answered} execs, the slowest in ${Math.round(slowest)} ms`,
    );
    expect(await container.exited()).toMatchObject({ exit_code: 137 });
    // In a pid namespace that is shared the others may take a moment longer than init.
    await eventually('nobody is left, or frozen', () => left(container.id).length === 0, 60_000);
    await pod.remove();
  });

  test.each(pidModes)('ends with its pod when the shim is killed (pid namespace: %s)', async (pid) => {
    const pod = await runPod(pid);
    const container = await filled(await pod.start(crowd()));
    const { info } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
    const { shimPid } = JSON.parse(info['info'] ?? '{}') as { shimPid: number };
    process.kill(shimPid, 'SIGKILL');
    expect(await container.exited(60_000)).toMatchObject({ exit_code: 137 });
    await eventually('nobody is left', () => left(container.id).length === 0, 60_000);
    await pod.remove();
  });
});
