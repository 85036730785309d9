import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { silentLogger, type LogFields } from '#base/log';
import { createMetrics } from '#base/metrics';
import { containerInfo } from '#server/to-cri/info';
import { LostOutput } from './lost-output.ts';
import { FakeNode, runningContainer } from './sandboxes.fixture.ts';

const ctx = createCtx();
const facts = { spec: undefined, upper: '/upper' };

describe('output that a full disk keeps out of a log', () => {
  test('is told in the status, by check until the container is removed, and counted', async () => {
    const metrics = createMetrics();
    const it = await new FakeNode().start({ metrics });
    const { podId, id } = await runningContainer(it);
    const container = it.sandboxes.getContainer(id);
    const info = () => JSON.parse(containerInfo(container, facts)['info'] ?? '') as Record<string, unknown>;
    expect([await it.sandboxes.check(ctx), info()['logBytesDropped'], info()['warnings']]).toEqual([[], 0, []]);
    it.node.machine.loseOutput(id, 1000);
    it.node.machine.loseOutput(id, 2500);
    const line = `output of container ${id}: 2500 bytes are not in its log ${container.made.logPath}: the disk was full or failed`;
    expect([await it.sandboxes.check(ctx), info()['logBytesDropped'], info()['warnings']]).toEqual([
      [line],
      2500,
      [line],
    ]);
    expect(await metrics.text()).toMatch(/^berth_log_bytes_dropped_total 2500$/m);
    await it.sandboxes.removePod(ctx, podId);
    expect(await it.sandboxes.check(ctx)).toEqual([]);
  });

  test('is known to the next berthd, which counts only what is lost from then on', async () => {
    const node = new FakeNode();
    const before = await node.start();
    const { id } = await runningContainer(before);
    node.machine.loseOutput(id, 1000);
    await before.sandboxes[Symbol.asyncDispose]();
    const metrics = createMetrics();
    const { sandboxes } = await node.start({ metrics });
    expect(sandboxes.getContainer(id).logBytesDropped).toBe(1000);
    node.machine.loseOutput(id, 1500);
    expect(await metrics.text()).toMatch(/^berth_log_bytes_dropped_total 500$/m);
  });

  test('is told once in the log by a berthd that was away while it was lost', async () => {
    const it = await new FakeNode().start();
    const { id } = await runningContainer(it);
    const container = it.sandboxes.getContainer(id);
    const told: unknown[] = [];
    const log = { ...silentLogger, warn: (fields: LogFields) => void told.push(fields['containerId']) };
    const lostOutput = new LostOutput({ log, metrics: createMetrics() });
    lostOutput.adopted(container, 0);
    expect(told).toEqual([]);
    lostOutput.adopted(container, 1000);
    lostOutput.adopted(container, 1000);
    lostOutput.told(container, 1500);
    expect([told, container.logBytesDropped]).toEqual([[id], 1500]);
  });
});
