import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import type { LinuxContainerResources__Output } from '#cri-api/gen/runtime/v1/LinuxContainerResources';
import { changedResources, mergeResources } from './merge-resources.ts';
import { noResources } from './merge-resources.ts';
import { containerIdentity, FakeNode, podIdentity, type TestSandboxes } from './sandboxes.fixture.ts';

const ctx = createCtx();

function resources(changes: Partial<LinuxContainerResources__Output> = {}): LinuxContainerResources__Output {
  return { ...noResources, ...changes };
}

const limited = resources({
  cpu_period: '100000',
  cpu_quota: '50000',
  cpu_shares: '512',
  memory_limit_in_bytes: '1000',
  oom_score_adj: '500',
  hugepage_limits: [{ page_size: '2MB', limit: '1' }],
  unified: { 'memory.high': '900' },
});

describe('limits after a change', () => {
  test('are the old ones where nothing was asked', () => {
    expect(mergeResources(limited, resources())).toEqual(limited);
    expect(changedResources(limited, resources())).toEqual({ hugepageLimits: [], unified: {} });
  });

  test('come in pairs: quota with period, memory with swap', () => {
    const asked = resources({ cpu_quota: '20000', memory_limit_in_bytes: '2000' });
    const merged = mergeResources(limited, asked);
    expect(merged).toEqual({ ...limited, ...{ cpu_quota: '20000', memory_limit_in_bytes: '2000' } });
    expect(changedResources(merged, asked)).toEqual({
      cpuQuota: 20_000n,
      cpuPeriod: 100_000n,
      memoryLimit: 2000n,
      memorySwap: 2000n,
      hugepageLimits: [],
      unified: {},
    });
  });

  test.each([
    // before: memory, with swap; asked: memory, with swap; after: with swap
    ['1000', '1000', '2000', '0', '2000'],
    ['1000', '1000', '500', '0', '500'],
    ['1000', '5000', '2000', '0', '5000'],
    ['1000', '1500', '2000', '0', '2000'],
    ['1000', '5000', '-1', '0', '-1'],
    ['1000', '-1', '2000', '0', '-1'],
    ['1000', '0', '2000', '0', '0'],
    ['1000', '1000', '0', '3000', '3000'],
  ])('memory %s with swap %s, asked %s and %s: swap %s', (memory, swap, newMemory, newSwap, after) => {
    const before = resources({ memory_limit_in_bytes: memory, memory_swap_limit_in_bytes: swap });
    const asked = resources({ memory_limit_in_bytes: newMemory, memory_swap_limit_in_bytes: newSwap });
    expect(mergeResources(before, asked).memory_swap_limit_in_bytes).toBe(after);
  });

  test('keep the oom score, which is no limit of the group', () => {
    expect(mergeResources(limited, resources({ oom_score_adj: '-500' })).oom_score_adj).toBe('500');
  });

  test('of huge pages and unified keys are merged one by one', () => {
    const asked = resources({
      hugepage_limits: [{ page_size: '1GB', limit: '2' }],
      unified: { 'memory.low': '1' },
    });
    const merged = mergeResources(limited, asked);
    expect(merged.hugepage_limits).toEqual([
      { page_size: '2MB', limit: '1' },
      { page_size: '1GB', limit: '2' },
    ]);
    expect(merged.unified).toEqual({ 'memory.high': '900', 'memory.low': '1' });
    expect(changedResources(merged, asked)).toEqual({
      hugepageLimits: [{ pageSize: '1GB', limit: 2n }],
      unified: { 'memory.low': '1' },
    });
  });
});

describe('an update', () => {
  let node: FakeNode;
  let it: TestSandboxes;
  beforeEach(async () => {
    node = new FakeNode();
    it = await node.start();
  });
  afterEach(() => it.sandboxes[Symbol.asyncDispose]());

  async function created(): Promise<string> {
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    return it.sandboxes.createContainer(
      ctx,
      containerIdentity(podId, 'app', { linux: { resources: limited, security_context: null } }),
    );
  }
  const asked = resources({ cpu_shares: '1024' });

  test.each(['created', 'running'])('of a %s container is done, told and kept over a restart', async (state) => {
    const id = await created();
    if (state === 'running') await it.sandboxes.startContainer(ctx, id);
    await it.sandboxes.updateContainer(ctx, id, asked);
    expect(it.runtime.container(id)?.updates).toEqual([{ cpuShares: 1024n, hugepageLimits: [], unified: {} }]);
    await it.sandboxes[Symbol.asyncDispose]();
    it = await node.start();
    const container = it.sandboxes.getContainer(id);
    expect(container.status.resources).toEqual({ ...limited, cpu_shares: '1024' });
    expect(it.sandboxes.findSpec(container)?.linux.resources).toMatchObject({ cpuShares: 1024n, memoryLimit: 1000n });
  });

  test('builds on the one before', async () => {
    const id = await created();
    await it.sandboxes.updateContainer(ctx, id, asked);
    await it.sandboxes.updateContainer(ctx, id, resources({ cpu_quota: '70000' }));
    expect(it.sandboxes.getContainer(id).status.resources).toEqual({
      ...limited,
      ...{ cpu_shares: '1024', cpu_quota: '70000' },
    });
  });

  test('of one that has ended is refused', async () => {
    const id = await created();
    await it.sandboxes.startContainer(ctx, id);
    await it.sandboxes.stopContainer(ctx, id, 0);
    await expect(it.sandboxes.updateContainer(ctx, id, asked)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await expect(it.sandboxes.updateContainer(ctx, 'none', asked)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('that the kernel refuses changes nothing', async () => {
    const id = await created();
    it.runtime.failNext('updateContainer', new Error('EBUSY'));
    await expect(it.sandboxes.updateContainer(ctx, id, asked)).rejects.toThrow('EBUSY');
    expect(it.sandboxes.getContainer(id).status).not.toHaveProperty('resources');
  });

  test('that cannot be recorded is taken back', async () => {
    const id = await created();
    node.disk.room = 0;
    await expect(it.sandboxes.updateContainer(ctx, id, asked)).rejects.toThrow();
    expect(it.runtime.container(id)?.updates).toEqual([]);
    expect(it.sandboxes.getContainer(id).status).not.toHaveProperty('resources');
  });

  test('of a pod is noted, and survives a restart', async () => {
    const podId = await it.sandboxes.runPod(ctx, podIdentity());
    await it.sandboxes.updatePod(ctx, podId, { overhead: null, resources: limited });
    await it.sandboxes.updatePod(ctx, podId, { overhead: asked, resources: null });
    await it.sandboxes[Symbol.asyncDispose]();
    it = await node.start();
    expect(it.sandboxes.getPod(podId).status).toMatchObject({ state: 'ready', resources: limited, overhead: asked });
  });
});
