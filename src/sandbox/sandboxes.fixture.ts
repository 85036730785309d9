import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect } from '@jest/globals';
import { systemClock } from '#base/clock';
import { createCtx, type Ctx } from '#base/ctx';
import { randomIds } from '#base/ids';
import { silentLogger } from '#base/log';
import { createMetrics } from '#base/metrics';
import { FakeImageStore } from '#images/image-store.fake';
import { Files } from '#linux/files';
import { loadAddon } from '#linux/load';
import { FakePodNetwork } from '#network/pod-network.fake';
import { FakeMachine } from '#runtime/machine.fake';
import { FakeRuntime } from '#runtime/runtime.fake';
import { loadCriProto } from '#server/cri-proto';
import { RequestCodec } from '#server/identity-codec';
import { FakeDisk, FakeStore } from '#store/store.fake';
import { containerConfig, podConfig } from './cri-config.fixture.ts';
import { checkedContainerConfig, checkedPodConfig, type ContainerIdentity, type PodIdentity } from './identity.ts';
import { Sandboxes, type SandboxesOptions } from './sandboxes.ts';

const files = new Files(loadAddon());
const scratch: string[] = [];

afterAll(() => {
  for (const directory of scratch) rmSync(directory, { recursive: true, force: true });
});

function scratchDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-sandbox-'));
  scratch.push(directory);
  return directory;
}

export const codec = new RequestCodec(loadCriProto().RuntimeService.service);

/** What survives a restart of berthd: the disk, the machine, the network, the images. */
export class FakeNode {
  readonly root = scratchDirectory();
  readonly disk = new FakeDisk();
  readonly machine = new FakeMachine();
  readonly network = new FakePodNetwork();
  readonly images = new FakeImageStore();
  bootId = 'boot-1';

  constructor() {
    this.images.add({
      names: ['localhost/busybox:latest'],
      config: { env: ['PATH=/bin'], cmd: ['sh'] },
      passwd: 'root:x:0:0:root:/root:/bin/sh\n',
      group: 'root:x:0:\n',
    });
  }

  /** A berthd on this node, recovered. */
  async start(options: Partial<SandboxesOptions> = {}): Promise<TestSandboxes> {
    const store = new FakeStore({ disk: this.disk, bootId: this.bootId });
    const runtime = new FakeRuntime(this.machine);
    const metrics = createMetrics();
    const sandboxes = await Sandboxes.open(createCtx(), {
      store,
      runtime,
      images: this.images,
      network: this.network,
      files,
      codec,
      clock: systemClock,
      ids: randomIds,
      log: silentLogger,
      metrics,
      bootId: this.bootId,
      root: this.root,
      defaultCgroupParent: '/berth',
      hostname: 'node-1',
      timeouts: {
        runPodMs: 2_000,
        createContainerMs: 2_000,
        startContainerMs: 2_000,
        removeMs: 2_000,
        killMs: 300,
        volumeMs: 1_000,
      },
      ...options,
    });
    await sandboxes.recover(createCtx());
    return { node: this, sandboxes, runtime, store, metrics };
  }
}

export interface TestSandboxes {
  readonly node: FakeNode;
  readonly sandboxes: Sandboxes;
  readonly runtime: FakeRuntime;
  readonly store: FakeStore;
  readonly metrics: ReturnType<typeof createMetrics>;
}

export function podIdentity(name = 'web', changes: Parameters<typeof podConfig>[0] = {}): PodIdentity {
  const metadata = { name, uid: `uid-${name}`, namespace: 'default', attempt: 0 };
  return { config: checkedPodConfig(podConfig({ metadata, log_directory: '', ...changes })), runtimeHandler: '' };
}

export function containerIdentity(
  podId: string,
  name = 'app',
  changes: Parameters<typeof containerConfig>[0] = {},
): ContainerIdentity {
  return { podId, config: checkedContainerConfig(containerConfig({ metadata: { name, attempt: 0 }, ...changes })) };
}

/** As kill -9 of this berthd: what it still does reaches neither disk nor listeners. */
export async function kill(test: TestSandboxes): Promise<void> {
  test.store.kill();
  await test.sandboxes[Symbol.asyncDispose]();
}

/** A pod with one running container. */
export async function runningContainer(test: TestSandboxes, name = 'web'): Promise<{ podId: string; id: string }> {
  const podId = await test.sandboxes.runPod(createCtx(), podIdentity(name));
  const id = await test.sandboxes.createContainer(createCtx(), containerIdentity(podId));
  await test.sandboxes.startContainer(createCtx(), id);
  return { podId, id };
}

/** A context that is over after `ms`. */
export function impatient(ms: number): Ctx & Disposable {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error('the caller went away')), ms);
  return { ...createCtx({ signal: controller.signal }), [Symbol.dispose]: () => clearTimeout(timer) };
}

/** Nothing of any pod is left anywhere. */
export async function expectClean({ sandboxes, node }: TestSandboxes): Promise<void> {
  expect(sandboxes.listPods()).toEqual([]);
  expect(sandboxes.listContainers()).toEqual([]);
  expect([...node.disk.content.keys()]).toEqual([]);
  expect(node.machine.pods.size).toBe(0);
  expect(node.network.records.size).toBe(0);
  expect(node.network.openNamespaces.size).toBe(0);
  expect(node.images.leases.size).toBe(0);
  expect(readdirSync(path.join(node.root, 'containers'))).toEqual([]);
  expect(readdirSync(path.join(node.root, 'pods'))).toEqual([]);
  expect(await sandboxes.check(createCtx())).toEqual([]);
}

/** Waits until something is so. */
export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 500) throw new Error('it never came true');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
