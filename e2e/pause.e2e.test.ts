import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { EventLog } from './harness/events.ts';
import { pausePidOf } from './harness/port-server.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// What holds a pod's namespaces is killed from outside. A kubelet must hear of it, and nobody may take the number for pause.

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown());

const notReady = async (pod: TestPod): Promise<boolean> => (await pod.status()) === 'SANDBOX_NOTREADY';

async function expectUsable(pod: TestPod, container: TestContainer): Promise<void> {
  expect((await container.status()).state).toBe('CONTAINER_RUNNING');
  await expect(pod.create(shell('true'))).rejects.toMatchObject({
    status: 'FAILED_PRECONDITION',
    details: expect.stringContaining('not ready') as unknown,
  });
  await expect(berthd.cri.runtime.portForward({ pod_sandbox_id: pod.id, port: [80] })).rejects.toMatchObject({
    status: 'FAILED_PRECONDITION',
  });
  await berthd.cri.runtime.podSandboxStats({ pod_sandbox_id: pod.id });
  await pod.stop();
  expect((await container.status()).state).toBe('CONTAINER_EXITED');
  await pod.remove();
}

const ownPids = { linux: { security_context: { namespace_options: { pid: 'CONTAINER' } } } } as const;

test('the pod is not ready at once, with one event; its containers go on until it is stopped', async () => {
  const pod = await TestPod.run(berthd, ownPids);
  const container = await pod.start(shell('sleep 10000', ownPids));
  await berthd.cri.runtime.podSandboxStats({ pod_sandbox_id: pod.id });
  using events = await EventLog.listen(berthd);
  process.kill(await pausePidOf(pod), 'SIGKILL');
  await eventually('the event comes', () => events.of(pod.id).length > 0);
  expect(await notReady(pod)).toBe(true);
  expect(events.of(pod.id)).toEqual(['STOPPED SANDBOX_NOTREADY']);
  await expectUsable(pod, container);
  await eventually('the removal is told', () => events.of(pod.id).length > 1);
  expect(events.of(pod.id)).toEqual(['STOPPED SANDBOX_NOTREADY', 'DELETED SANDBOX_NOTREADY']);
  expect(events.of(container.id).map((event) => event.split(' ')[0])).toEqual(['STOPPED', 'DELETED']);
});

test('in a pod that shares one pid namespace all containers end with it', async () => {
  const pod = await TestPod.run(berthd, { linux: { security_context: { namespace_options: { pid: 'POD' } } } });
  const container = await pod.start(shell('sleep 10000'));
  process.kill(await pausePidOf(pod), 'SIGKILL');
  expect((await container.exited()).exit_code).toBe(137);
  await eventually('the pod is not ready', () => notReady(pod));
  await pod.remove();
});

test('one that dies while berthd is away is found by the next', async () => {
  const pod = await TestPod.run(berthd, ownPids);
  const container = await pod.start(shell('sleep 10000', ownPids));
  const pause = await pausePidOf(pod);
  await berthd.stop();
  process.kill(pause, 'SIGKILL');
  await berthd.start();
  expect(await notReady(pod)).toBe(true);
  // Another start changes nothing: the pod is the kubelet's to stop.
  await berthd.restart();
  expect(await notReady(pod)).toBe(true);
  await expectUsable(pod, container);
});
