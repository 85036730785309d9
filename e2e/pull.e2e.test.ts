import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { callAdmin } from './harness/admin.ts';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { FaultyProxy } from './harness/faulty-proxy.ts';
import { busyboxLayer } from './harness/image-archive.ts';
import { buildImage, type BuiltImage } from './harness/made-image.ts';
import { shell, TestPod } from './harness/pods.ts';
import { Registry } from './harness/registry.ts';
import { eventually } from './harness/wait.ts';

// Images of a real registry, pulled with the real crictl.

let berthd: Berthd;
let registry: Registry;
let locked: Registry;
let proxy: FaultyProxy;
let digest: string;
const megabyte = 1_000_000;
const noise = (name: string, bytes = 3 * megabyte) => [{ name, data: randomBytes(bytes).toString('latin1') }];
const app = buildImage({ layers: [busyboxLayer, noise('a')], config: { Cmd: ['/bin/echo', 'pulled'] } });
const big = buildImage({
  layers: [noise('small', 1000), noise('large', 8 * megabyte)],
  compression: 'zstd',
  format: 'oci',
});

beforeAll(async () => {
  berthd = await startBerthd();
  registry = await Registry.start(berthd.node);
  locked = await Registry.start(berthd.node, { port: 5001, users: { me: 'right-word' }, auth: 'basic' });
  digest = await registry.push('team/app:1', app);
  await registry.push('team/big:1', big);
  await locked.push('team/app:1', app);
  proxy = await FaultyProxy.start(registry.sockets, registry.port);
});
afterAll(async () => {
  await registry.close();
  await locked.close();
  await berthd.teardown();
});
afterEach(async () => {
  proxy.fault = { kind: 'none' };
  proxy.cut();
  const { images } = await berthd.cri.images.listImages({});
  for (const { id } of images) await berthd.cri.images.removeImage({ image: { image: id } });
});

const pullsNow = async (): Promise<readonly PullLine[]> => {
  const { lines } = await callAdmin(berthd.adminSocket, 'GET', '/pulls');
  return lines.at(-1)?.['pulls'] as readonly PullLine[];
};
interface PullLine {
  readonly stage: string;
  readonly waiters: number;
  readonly layers: readonly { readonly state: string; readonly downloaded: number }[];
}
const imageIds = async (): Promise<readonly string[]> =>
  (await berthd.cri.images.listImages({})).images.map(({ id }) => id);
/** Until a layer is here and another one stands in the middle. */
const untilHalfway = (): Promise<unknown> =>
  eventually('a pull stands in its second layer', async () => {
    const [pull] = await pullsNow();
    return pull?.layers[0]?.state === 'done' && (pull.layers[1]?.downloaded ?? 0) > megabyte;
  });
const usedBytes = async (): Promise<number> =>
  Number((await berthd.cri.images.imageFsInfo({})).image_filesystems[0]?.used_bytes?.value);
const fetchesOf = (image: BuiltImage): readonly number[] => image.layers.map((layer) => registry.fetches(layer.digest));

describe('crictl pull', () => {
  test('by tag: the image has tag, digest, id and size, and runs', async () => {
    const name = `${registry.host}/team/app:1`;
    const before = await usedBytes();
    expect(await berthd.crictlOk('pull', name)).toContain(app.id);
    expect(await usedBytes()).toBeGreaterThan(before + 3 * megabyte);
    const inspected = JSON.parse(await berthd.crictlOk('inspecti', name)) as {
      readonly status: Readonly<Record<string, unknown>>;
      readonly info: { readonly imageSpec: { readonly rootfs: { readonly diff_ids: readonly string[] } } };
    };
    const repository = `${registry.host}/team/app`;
    expect(inspected.status).toMatchObject({ id: app.id, repoTags: [name], repoDigests: [`${repository}@${digest}`] });
    expect(inspected.info.imageSpec.rootfs.diff_ids).toHaveLength(2);
    const pod = await TestPod.run(berthd);
    const container = await pod.start({ ...shell('ls -l /a | tr -s " " | cut -d" " -f5'), image: { image: app.id } });
    await container.exited();
    expect(Number(container.output())).toBeGreaterThan(3 * megabyte);
    const { status } = await berthd.cri.runtime.containerStatus({ container_id: container.id });
    // What kubectl shows as image and imageID, and what a kubelet finds images in use by.
    expect(status).toMatchObject({ image: { image: name }, image_ref: `${repository}@${digest}`, image_id: app.id });
    await berthd.removeAllPods();
    await berthd.crictlOk('rmi', `${repository}@${digest}`);
    expect(await imageIds()).toEqual([]);
    expect(await usedBytes()).toBe(before);
  });

  test('by digest: no tag; again: nothing is fetched', async () => {
    const name = `${registry.host}/team/app@${digest}`;
    await berthd.crictlOk('pull', name);
    const fetched = fetchesOf(app);
    await berthd.crictlOk('pull', name);
    expect(fetchesOf(app)).toEqual(fetched);
    const { images } = await berthd.cri.images.listImages({});
    expect(images).toEqual([expect.objectContaining({ id: app.id, repo_tags: [], repo_digests: [name] })]);
  });

  test('an image that is not there, and a registry that is not there', async () => {
    const missing = await berthd.crictl(['pull', `${registry.host}/team/none:1`]);
    expect(missing.code).not.toBe(0);
    expect(missing.stderr).toMatch(/NotFound/);
    const nobody = await berthd.crictl(['pull', '127.0.0.1:1/team/app:1']);
    expect(nobody.stderr).toMatch(/Unavailable/);
    expect(nobody.stderr).toContain('127.0.0.1:1');
  });

  test('a wrong password is told without it; the right one pulls; none asks for one', async () => {
    const name = `${locked.host}/team/app:1`;
    const wrong = await berthd.crictl(['pull', '--creds', 'me:wrong-word', name]);
    expect(wrong.stderr).toMatch(/Unauthenticated/);
    expect(wrong.stderr + berthd.log).not.toContain('wrong-word');
    expect((await berthd.crictl(['pull', name])).stderr).toMatch(/Unauthenticated/);
    await berthd.crictlOk('pull', '--creds', 'me:right-word', name);
    expect(await imageIds()).toEqual([app.id]);
  });

  test('two at once fetch each layer once', async () => {
    const before = fetchesOf(big);
    const name = `${registry.host}/team/big:1`;
    await Promise.all([berthd.crictlOk('pull', name), berthd.crictlOk('pull', name)]);
    expect(fetchesOf(big)).toEqual(before.map((count) => count + 1));
  });
});

describe('a pull that stalls', () => {
  const name = (): string => `${proxy.host}/team/big:1`;

  test('ends with its caller; its finished layers wait for the next attempt', async () => {
    proxy.fault = { kind: 'stall', afterBytes: 2 * megabyte };
    const before = fetchesOf(big);
    const leaver = new AbortController();
    const left = berthd.cri.images.pullImage({ image: { image: name() } }, { signal: leaver.signal });
    const failed = expect(left).rejects.toMatchObject({ status: 'CANCELLED' });
    await untilHalfway();
    leaver.abort();
    await failed;
    await eventually('the pull has ended', async () => (await pullsNow()).length === 0);
    expect(await imageIds()).toEqual([]);
    expect(await berthd.strays()).toEqual([]);
    proxy.fault = { kind: 'none' };
    proxy.cut();
    await berthd.crictlOk('pull', name());
    expect(registry.fetches(big.layers[0]?.digest ?? '')).toBe((before[0] ?? 0) + 1);
  });

  test('honours the deadline of its caller', async () => {
    proxy.fault = { kind: 'stall', afterBytes: 0 };
    const pull = berthd.cri.images.pullImage({ image: { image: name() } }, { timeoutMs: 500 });
    await expect(pull).rejects.toMatchObject({ status: 'DEADLINE_EXCEEDED' });
  });

  test('is gone after a kill of berthd: nothing of it is seen, nothing is left, and it can be pulled', async () => {
    proxy.fault = { kind: 'stall', afterBytes: 2 * megabyte };
    const lost = berthd.cri.images.pullImage({ image: { image: name() } });
    const failed = expect(lost).rejects.toMatchObject({ status: 'UNAVAILABLE' });
    await untilHalfway();
    expect(readdirSync(path.join(berthd.root, 'tmp'))).not.toEqual([]);
    await berthd.kill9();
    await failed;
    proxy.fault = { kind: 'none' };
    proxy.cut();
    await berthd.start();
    expect(await imageIds()).toEqual([]);
    expect(await berthd.strays()).toEqual([]);
    expect(readdirSync(path.join(berthd.root, 'tmp'))).toEqual([]);
    expect(readdirSync(path.join(berthd.root, 'blobs/sha256'))).toEqual([]);
    await berthd.crictlOk('pull', name());
    expect(await imageIds()).toEqual([big.id]);
    expect(await berthd.strays()).toEqual([]);
  });
});

describe('the berth command', () => {
  test('berth pull tells layer by layer, and takes a password from its input', async () => {
    const name = `${registry.host}/team/app:1`;
    const { code, stdout, stderr } = await berthd.berth(['pull', name]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${app.id}\n` });
    expect(stderr).toMatch(/layer 2 of 2/);
    const secret = await berthd.berth(['pull', '--user', 'me', `${locked.host}/team/app:1`], { input: 'right-word\n' });
    expect(secret).toMatchObject({ code: 0 });
  });

  test('berth run pulls what is missing', async () => {
    const { code, stdout } = await berthd.berth(['run', '--rm', `${registry.host}/team/app:1`]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'pulled\n' });
  });

  test('berth pulls shows what is under way', async () => {
    proxy.fault = { kind: 'stall', afterBytes: 2 * megabyte };
    const leaver = new AbortController();
    const name = `${proxy.host}/team/big:1`;
    const pull = berthd.cri.images.pullImage({ image: { image: name } }, { signal: leaver.signal });
    const failed = expect(pull).rejects.toMatchObject({ status: 'CANCELLED' });
    await untilHalfway();
    const { stdout } = await berthd.berth(['pulls']);
    expect(stdout).toMatch(new RegExp(`${name} +layers +1 of 2 `));
    leaver.abort();
    await failed;
  });
});
