import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { top } from './harness/paths.ts';
import { shell, TestPod } from './harness/pods.ts';

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd({ config: '[streaming]\nmax_connections = 2000\n' });
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown());

test('however many streams are open in a pod, a probe works, and the stream too many is told the limit', async () => {
  const pod = await TestPod.run(berthd);
  const container = await pod.start(shell('sleep 1000000'));
  const program = path.join(top, 'e2e/programs/many-streams.ts');
  const counts = ['127', '128', '129', '1023', '1024'];
  const argv = [process.execPath, '-C', 'berth-src', program, berthd.socket, container.id, ...counts];
  const { code, stdout, stderr } = await berthd.node.run(argv, { timeoutMs: 300_000 });
  expect([code, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toEqual({
    probes: counts.map(() => 0),
    refusal: expect.stringContaining('1024 execs and attaches have streams in this pod, which is the limit'),
    last: 0,
  });
  await pod.stop();
  await pod.remove();
}, 300_000);
