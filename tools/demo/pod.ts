import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { readLog } from '#cli/log-file';
import type { StopWatch } from '#cli/stop-watch';
import { eventually } from '../../e2e/harness/wait.ts';
import type { DemoDaemon } from './daemon.ts';

const script = [
  'echo "Hello from $(hostname): I am process $$ of a pod."',
  'echo "My user is $(id -un), my address is $(ip -4 -o addr show eth0 | tr -s " " | cut -d " " -f 4)."',
  'echo "My root file system is an $(awk \'$2 == "/" { print $3 }\' /proc/mounts), my control group $(head -n 1 /proc/self/cgroup)."',
].join('\n');

/** One pod with one container, through the CRI as a kubelet would; prints what the container writes. */
export async function runDemoPod(
  daemon: DemoDaemon,
  watch: StopWatch,
  image: string,
  say: (text: string) => void,
): Promise<void> {
  const { runtime } = daemon.cri;
  const uid = randomUUID();
  // Its own: one of a run that ended badly is still there.
  const logs = path.join(daemon.state, `logs/hello_${uid}`);
  mkdirSync(logs, { recursive: true });
  const pod = {
    metadata: { name: 'hello', namespace: 'default', uid, attempt: 0 },
    hostname: 'hello',
    log_directory: logs,
    linux: {},
  };
  const config = {
    metadata: { name: 'main', attempt: 0 },
    image: { image },
    command: ['/bin/sh', '-c', script],
    log_path: 'main.log',
    linux: {},
  };
  const { pod_sandbox_id } = await watch.step('RunPodSandbox', () => runtime.runPodSandbox({ config: pod }));
  const request = { pod_sandbox_id, config, sandbox_config: pod };
  const { container_id } = await watch.step('CreateContainer', () => runtime.createContainer(request));
  await watch.step('StartContainer', () => runtime.startContainer({ container_id }));
  const status = await watch.step('until it ended', () =>
    eventually('the container ends', async () => {
      const reply = await runtime.containerStatus({ container_id });
      return reply.status?.state === 'CONTAINER_EXITED' && reply.status;
    }),
  );
  for await (const { text } of readLog(path.join(logs, config.log_path), { follow: false })) {
    say(`  | ${text.toString().trimEnd()}`);
  }
  if (status.exit_code !== 0) {
    throw new Error(`the container ended with ${status.exit_code}: ${status.reason} ${status.message}`);
  }
  await watch.step('StopPodSandbox', () => runtime.stopPodSandbox({ pod_sandbox_id }));
  await watch.step('RemovePodSandbox', () => runtime.removePodSandbox({ pod_sandbox_id }));
}
