import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { RuntimeUnderTest } from './node/runtime-under-test.ts';
import { removePod, standPod } from './pod-life.ts';

/**
 * Refuses to measure a runtime that leaves out what the others do: a pod must be confined, limited, on the network and
 * logged.
 */
export async function checkPod(runtime: RuntimeUnderTest): Promise<void> {
  const { runtime: cri } = runtime.client;
  const pod = await standPod(runtime, 'check');
  const exec = async (...cmd: string[]): Promise<string> => {
    const reply = await cri.execSync({ container_id: pod.containerId, cmd, timeout: 10 });
    if (reply.exit_code === 0) return reply.stdout.toString();
    throw new Error(`${runtime.name}: ${cmd.join(' ')} ended with ${reply.exit_code}: ${reply.stderr.toString()}`);
  };
  const expect = (what: string, ok: boolean): void => {
    if (!ok) throw new Error(`${runtime.name} is not comparable: ${what}`);
  };
  expect('no seccomp filter', /^Seccomp:\s*2$/m.test(await exec('cat', '/proc/1/status')));
  const { status: sandbox } = await cri.podSandboxStatus({ pod_sandbox_id: pod.podId });
  const address = sandbox?.network?.ip ?? '';
  expect('the pod has no address', address !== '' && (await exec('ip', 'address')).includes(address));
  const mounts = await exec('cat', '/proc/mounts');
  expect('/proc/sys is writable', /^\S+ \/proc\/sys \S+ ro[ ,]/m.test(mounts));
  expect('/proc/interrupts is not masked', /^\S+ \/proc\/interrupts /m.test(mounts));
  const { status } = await cri.containerStatus({ container_id: pod.containerId });
  expect('the container does not run', status?.state === 'CONTAINER_RUNNING');
  const log = readFileSync(path.join(pod.logDirectory, 'main/0.log'), 'utf8');
  expect('the log is not in the format of the CRI', /^\S+ stdout F ready$/m.test(log));
  await removePod(runtime, pod);
}
