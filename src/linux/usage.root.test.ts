import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createCtx } from '#base/ctx';

import { loadAddon } from './load.ts';
import { runProcess } from './run-process.ts';

const addon = loadAddon();
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'berth-projects-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const isRoot = process.getuid?.() === 0;

test('where projects are accounted, a writable layer costs one question', async () => {
  const script = `
    set -e; cd ${directory}; truncate -s 64M disk; mkfs.ext4 -q -O quota,project disk; mkdir m low merged
    mount -o loop,prjquota disk m 2>/dev/null || { echo none; exit; }
    mkdir m/c; exec ${process.execPath} --input-type=commonjs -e '
      const addon = require(process.argv[1]);
      const { execFileSync } = require("child_process");
      const operations = [["project", ""], ["mkdir", "/upper"], ["mkdir", "/work"]];
      addon.fileBatch(operations.map(([op, at]) => ({ op, path: "m/c" + at, mode: 0o755 }))).then(async (made) => {
        const sh = (command) => execFileSync("/bin/sh", ["-ec", command]);
        const before = await addon.projectUsage(["m/c"]);
        sh("mount -t overlay -o lowerdir=low,upperdir=m/c/upper,workdir=m/c/work none merged; mkdir merged/in; " +
          "head -c 4194304 /dev/zero >merged/x; mv merged/x merged/in/x; sync -f m; umount merged");
        const [after] = await addon.projectUsage(["m/c"]);
        console.log(JSON.stringify([made, Number(after.bytes - before[0].bytes), Number(after.inodes - before[0].inodes)]));
      });' ${path.resolve(import.meta.dirname, '../../build/native/addon/berth_addon.node')}`;
  if (!isRoot) {
    console.warn('skipped: projects need root, to mount a file system that accounts them');
    return;
  }
  const argv = ['unshare', '--mount', 'sh', '-c', script];
  const env = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'];
  const ran = await runProcess(createCtx(), addon, { path: '/usr/bin/unshare', argv, env, limit: 1 << 20 });
  if (ran.stdout === 'none\n') {
    console.warn('skipped: this kernel has no project quotas (CONFIG_QFMT_V2)');
    return;
  }
  expect(ran).toMatchObject({ code: 0 });
  const [made, bytes, inodes] = JSON.parse(ran.stdout) as [unknown, number, number];
  expect(made).toEqual([{}, {}, {}]);
  expect(bytes).toBeGreaterThanOrEqual(4 * 1024 * 1024);
  expect(bytes).toBeLessThan(5 * 1024 * 1024);
  expect(inodes).toBeGreaterThanOrEqual(2);
});
