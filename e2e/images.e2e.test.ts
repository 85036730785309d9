import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { busyboxLayer, writeImage, type LayerEntry, type MadeImage } from './harness/image-archive.ts';
import { shell, TestPod } from './harness/pods.ts';

// What an image's config does to a container, and what an image's bytes cannot do to the node.

let berthd: Berthd;
let pod: TestPod;
let serial = 0;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd);
});
afterAll(() => berthd.teardown());

/** Writes the archive of an image with a name of its own. */
function archive(image: Omit<MadeImage, 'reference'>): { file: string; reference: string } {
  serial += 1;
  const reference = `localhost/made-${serial}:1`;
  const file = writeImage(path.join(berthd.node.directory, `made-${serial}.tar`), { ...image, reference });
  return { file, reference };
}

async function load(config: object, more: readonly LayerEntry[] = []): Promise<{ image: { image: string } }> {
  const { file, reference } = archive({ layers: [busyboxLayer, more], config });
  await berthd.load(file);
  return { image: { image: reference } };
}

/** What a container of the image wrote, and how it ended. */
async function outcome(more: Parameters<TestPod['start']>[0]): Promise<{ code: number; text: string }> {
  const container = await pod.start(more);
  const { exit_code: code } = await container.exited();
  const text = container.output();
  await container.remove();
  return { code, text };
}

describe('an image’s config', () => {
  test('gives entrypoint and cmd; args replace the cmd, a command replaces both', async () => {
    const image = await load({ Entrypoint: ['/bin/echo', 'entry'], Cmd: ['cmd'] });
    expect(await outcome(image)).toEqual({ code: 0, text: 'entry cmd\n' });
    expect(await outcome({ ...image, args: ['mine'] })).toEqual({ code: 0, text: 'entry mine\n' });
    expect(await outcome({ ...image, command: ['/bin/echo', 'own'] })).toEqual({ code: 0, text: 'own\n' });
  });

  test('gives environment, user, groups and working directory', async () => {
    const files = [
      { name: 'etc/passwd', data: 'app:x:1234:1234::/home/app:/bin/sh\n' },
      { name: 'etc/group', data: 'app:x:1234:\nextra:x:4321:app\n' },
    ];
    const config = { User: 'app', Env: ['FROM=image', 'BOTH=image'], WorkingDir: '/made/here' };
    const image = await load(config, files);
    const line = 'id -u; id -G; pwd; echo $FROM $BOTH $HOME';
    const envs = [{ key: 'BOTH', value: Buffer.from('pod') }];
    const { text } = await outcome({ ...shell(line), ...image, envs });
    expect(text).toBe('1234\n1234 4321\n/made/here\nimage pod /home/app\n');
  });

  test('its VOLUMEs are writable directories outside the root file system, each container’s own', async () => {
    const image = await load({ Volumes: { '/data': {}, '/other/deep': {} } }, [
      { name: 'data/' },
      { name: 'data/seed', data: 'from the image\n' },
    ]);
    const readOnly = { linux: { security_context: { readonly_rootfs: true } } };
    const line =
      'touch /root-file 2>/dev/null || echo read-only; cat /data/seed; ls /data; echo x > /data/mine; echo x > /other/deep/mine; ls /data';
    const expected = 'read-only\nfrom the image\nseed\nmine\nseed\n';
    for (let again = 0; again < 2; again += 1) {
      expect(await outcome({ ...shell(line), ...image, ...readOnly })).toEqual({ code: 0, text: expected });
    }
  });

  test('a volume of the pod hides an image’s VOLUME', async () => {
    const image = await load({ Volumes: { '/data': {} } });
    const source = path.join(berthd.node.directory, 'covers');
    mkdirSync(source);
    writeFileSync(path.join(source, 'of-the-node'), '');
    const mounts = [{ host_path: source, container_path: '/data' }];
    expect((await outcome({ ...shell('ls /data'), ...image, mounts })).text).toBe('of-the-node\n');
  });

  test.each([
    ['a user who is not there', { User: 'nobody-knows' }, 'nobody-knows'],
    ['nothing to run', {}, /command|entrypoint/i],
  ])('with %s is refused in words when a container is made', async (_name, config, message) => {
    await expect(pod.create(await load(config))).rejects.toThrow(message);
  });
});

describe('a layer', () => {
  const outside = (): string => path.join(berthd.node.directory, 'outside');
  const up = '../../../../../../../../..';

  /** Loads a hostile image; gives its name when it was taken, else the message. */
  async function tryLoad(entries: readonly LayerEntry[]): Promise<{ taken?: string; refused?: string }> {
    const { file, reference } = archive({ layers: [busyboxLayer, entries], config: { Cmd: ['/bin/sh'] } });
    return berthd.load(file).then(
      () => ({ taken: reference }),
      (error: unknown) => ({ refused: String(error) }),
    );
  }

  async function images(): Promise<string[]> {
    const { images: all } = await berthd.cri.images.listImages({});
    return all.flatMap(({ repo_tags }) => repo_tags).sort();
  }

  test.each([
    ['a name with ../', (at: string) => [{ name: `${up}${at}/evil`, data: 'x' }]],
    ['../ in the middle of a name', (at: string) => [{ name: `usr/${up}${at}/evil`, data: 'x' }]],
    ['a hard link to outside', (at: string) => [{ name: 'evil', hardlinkTo: `${up}${at}/secret` }]],
    [
      'a name through a symlink that climbs',
      (at: string) => [
        { name: 'out', symlinkTo: `${up}${at}` },
        { name: 'out/evil', data: 'x' },
      ],
    ],
  ])('with %s is refused or stays inside; the node is untouched', async (_name, entries) => {
    mkdirSync(outside(), { recursive: true });
    writeFileSync(path.join(outside(), 'secret'), 'secret');
    const before = await images();
    const { taken, refused } = await tryLoad(entries(outside()));
    expect(readdirSync(outside())).toEqual(['secret']);
    if (refused !== undefined) {
      expect(refused).toMatch(/IMAGE_INVALID/);
      expect(refused).toMatch(/evil|out/);
      expect(await images()).toEqual(before);
    } else {
      const { text } = await outcome({ ...shell('cat /evil 2>&1; true'), image: { image: taken ?? '' } });
      expect(text).not.toContain('secret\n');
    }
  });

  test.each([
    ['an absolute name', (at: string) => [{ name: `${at}/kept`, data: 'inside\n' }]],
    [
      'a name through an absolute symlink',
      (at: string) => [
        { name: `${at.slice(1)}/` },
        { name: 'link', symlinkTo: at },
        { name: 'link/kept', data: 'inside\n' },
      ],
    ],
  ])('with %s means the image’s root, not the node’s', async (_name, entries) => {
    mkdirSync(outside(), { recursive: true });
    const { taken, refused } = await tryLoad(entries(outside()));
    expect(refused).toBeUndefined();
    expect(existsSync(path.join(outside(), 'kept'))).toBe(false);
    const inside = await outcome({ ...shell(`cat ${outside()}/kept`), image: { image: taken ?? '' } });
    expect(inside).toEqual({ code: 0, text: 'inside\n' });
  });

  test.each([
    ['truncated', (layer: Buffer) => layer.subarray(0, layer.length >> 1)],
    ['damaged', (layer: Buffer) => Buffer.concat([layer.subarray(0, 5000), Buffer.alloc(64), layer.subarray(5064)])],
    ['empty', () => Buffer.alloc(0)],
  ])('that is %s is refused, leaves nothing, and the whole one loads afterwards', async (name, spoil) => {
    const before = await images();
    const layers = [[...busyboxLayer, { name: `of-${name}`, data: name }]];
    const broken = archive({ layers, spoil });
    await expect(berthd.load(broken.file)).rejects.toThrow(/IMAGE_INVALID/);
    expect(await images()).toEqual(before);
    expect(await berthd.strays()).toEqual([]);
    const whole = archive({ layers });
    await berthd.load(whole.file);
    expect(await outcome({ ...shell(`cat /of-${name}`), image: { image: whole.reference } })).toMatchObject({
      text: name,
    });
  });
});

describe('an image in use', () => {
  test('keeps its containers going when its name is removed, and can be loaded again', async () => {
    const { file, reference } = archive({ layers: [busyboxLayer] });
    await berthd.load(file);
    const container = await pod.start({ ...shell('sleep 1000'), image: { image: reference } });
    await berthd.cri.images.removeImage({ image: { image: reference } }).catch(() => undefined);
    expect(await container.sh('echo still here')).toBe('still here\n');
    await container.remove();
    await berthd.load(file);
    expect((await outcome({ ...shell('echo again'), image: { image: reference } })).text).toBe('again\n');
  });

  test('removing one nobody knows succeeds, and ImageFsInfo tells what the others take', async () => {
    await berthd.cri.images.removeImage({ image: { image: 'localhost/never:1' } });
    const {
      image_filesystems: [images],
    } = await berthd.cri.images.imageFsInfo({});
    expect(Number(images?.used_bytes?.value)).toBeGreaterThan(100_000);
    expect(images?.fs_id?.mountpoint).toContain(berthd.root);
  });
});
