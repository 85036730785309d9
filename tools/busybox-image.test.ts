import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { createCtx } from '#base/ctx';
import { openArchive } from '../src/images/archive/open-archive.ts';
import { parseConfig } from '../src/images/config.ts';
import { hostPlatform } from '../src/images/platform.ts';
import { repoTagOf } from '../src/images/reference.ts';
import { buildBusyboxArchive, busyboxReference } from './busybox-image.ts';

let top: string;
beforeAll(async () => {
  top = await mkdtemp(path.join(tmpdir(), 'berth-busybox-'));
});
afterAll(() => rm(top, { recursive: true }));

it('makes the same archive twice, and it is an image', async () => {
  if (!existsSync('/bin/busybox')) {
    console.warn('SKIPPED: no /bin/busybox here; install busybox-static');
    return;
  }
  const [one, two] = [path.join(top, 'one.tar'), path.join(top, 'two.tar')];
  buildBusyboxArchive('/bin/busybox', one);
  buildBusyboxArchive('/bin/busybox', two);
  expect((await readFile(one)).equals(await readFile(two))).toBe(true);
  const options = { platform: hostPlatform(), scratchPath: path.join(top, 'scratch') };
  await using archive = await openArchive(createCtx(), one, options);
  expect(archive.images).toHaveLength(1);
  const [image] = archive.images;
  expect(image!.names.map(repoTagOf)).toEqual([busyboxReference]);
  expect(parseConfig(image!.config, 'busybox').config.cmd).toEqual(['sh']);
});
