import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createCtx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { FakeCall } from '#runtime/fake/calls.fake';
import {
  containerIdentity,
  FakeNode,
  impatient,
  kill,
  podIdentity,
  until,
  type TestSandboxes,
} from './sandboxes.fixture.ts';

// Whatever callers do, in whatever order, with callers that leave, steps that fail and berthd that ends in between: when
// everything is removed, nothing is left.

const ctx = createCtx();

type Step =
  | {
      readonly do: 'next' | 'run' | 'stopPod' | 'removePod' | 'create' | 'start' | 'stop' | 'remove';
      readonly patience: number;
    }
  | { readonly do: 'exit' | 'lose' | 'restart' | 'reboot' | 'failDisk' | 'fillDisk' | 'emptyDisk' | 'failNetwork' }
  | { readonly do: 'fail'; readonly call: FakeCall };

const verbs = ['run', 'stopPod', 'removePod', 'create', 'start', 'stop', 'remove'] as const;
const failing: FakeCall[] = ['runPod', 'endPod', 'createContainer', 'startContainer', 'removeContainer'];

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('next'), patience: fc.constantFrom(1, 1_000, 1_000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom(...verbs), patience: fc.constantFrom(0, 1, 1_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('exit', 'lose', 'failDisk', 'failNetwork') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restart', 'reboot', 'fillDisk', 'emptyDisk') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail'), call: fc.constantFrom(...failing) }) },
);

/** What a kubelet would do now: run a pod, make two containers in it, start them. */
function nextVerb({ sandboxes }: TestSandboxes): string {
  if (sandboxes.listPods().length === 0) return 'run';
  const containers = sandboxes.listContainers();
  if (containers.some(({ status }) => status.state === 'created')) return 'start';
  return containers.length < 2 ? 'create' : 'stopPod';
}

async function verbOf(it: TestSandboxes, name: string, patience: number): Promise<unknown> {
  const { sandboxes } = it;
  using own = impatient(patience);
  const pod = sandboxes.listPods()[0]?.id ?? 'f'.repeat(64);
  const containers = sandboxes.listContainers();
  const waiting = containers.find(({ status }) => status.state === 'created');
  const container = (waiting ?? containers[0])?.id ?? 'f'.repeat(64);
  switch (name) {
    case 'run':
      return await sandboxes.runPod(own, podIdentity());
    case 'stopPod': {
      await sandboxes.stopPod(own, pod);
      return;
    }
    case 'removePod': {
      await sandboxes.removePod(own, pod);
      return;
    }
    case 'create':
      return await sandboxes.createContainer(own, containerIdentity(pod, `app-${containers.length}`));
    case 'start': {
      await sandboxes.startContainer(own, container);
      return;
    }
    case 'stop': {
      await sandboxes.stopContainer(own, container, 1);
      return;
    }
    default: {
      await sandboxes.removeContainer(own, container);
      return;
    }
  }
}

async function play(node: FakeNode, steps: readonly Step[]): Promise<TestSandboxes> {
  let it = await node.start();
  const pending: Promise<unknown>[] = [];
  for (const step of steps) {
    switch (step.do) {
      case 'exit':
        for (const { id } of it.sandboxes.listContainers()) it.runtime.exit(id, 1);
        break;
      case 'lose':
        for (const id of [...node.machine.pods.keys()]) it.runtime.loseShim(id);
        break;
      case 'failDisk':
        node.disk.failNextWrite = new BerthError('RESOURCE_EXHAUSTED', 'disk full');
        break;
      case 'fillDisk':
        node.disk.room = 0;
        break;
      case 'emptyDisk':
        node.disk.room = Infinity;
        break;
      case 'failNetwork':
        node.network.failNextSetUp = new BerthError('RESOURCE_EXHAUSTED', 'no address');
        break;
      case 'fail':
        it.runtime.failNext(step.call, new BerthError('KERNEL', `${step.call} failed`));
        break;
      case 'restart':
      case 'reboot':
        await kill(it);
        if (step.do === 'reboot') {
          node.machine.pods.clear();
          node.bootId += '+';
        }
        it = await node.start();
        break;
      default: {
        const call = verbOf(it, step.do === 'next' ? nextVerb(it) : step.do, step.patience);
        pending.push(call.catch(() => undefined));
        if (step.patience > 1) await pending.at(-1);
      }
    }
  }
  await Promise.all(pending);
  return it;
}

test('nothing is left, whatever happened', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 24 }), async (steps) => {
      const node = new FakeNode();
      const last = await play(node, steps);
      await kill(last);
      node.disk.failNextWrite = undefined;
      node.disk.room = Infinity;
      const it = await node.start();
      await it.sandboxes.removeAll(ctx);
      await until(() => node.images.leases.size === 0);
      expect(await it.sandboxes.check(ctx)).toEqual([]);
      expect([...node.disk.content.keys()]).toEqual([]);
      expect([...node.machine.pods.keys()]).toEqual([]);
      expect([...node.network.records.keys()]).toEqual([]);
      expect(node.network.openNamespaces.size).toBe(0);
      expect(readdirSync(path.join(node.root, 'containers'))).toEqual([]);
      expect(readdirSync(path.join(node.root, 'pods'))).toEqual([]);
    }),
    { numRuns: 150, endOnFailure: false },
  );
}, 120_000);
