import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { createCtx } from '#base/ctx';
import { loadAddon } from '#linux/load';
import { parseMountinfo } from '#linux/mountinfo';
import { runProcess } from '#linux/run-process';
import type { DeviceRule } from '#runtime/spec/oci';

import { deviceProgram } from './device-program.ts';

// The kernel's own verifier and verdict, in a group of our own on whatever cgroup2 is mounted (a hybrid machine has one).
const isRoot = process.getuid?.() === 0;
const ctx = createCtx();
const v2Root = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).find(({ fsType }) => fsType === 'cgroup2');
if (!isRoot || !v2Root) {
  console.warn('skipped: src/runtime/cgroup/device-program.root.test.ts needs root and a mounted cgroup2');
}
(isRoot && v2Root ? describe : describe.skip)('device programs', () => {
  const addon = loadAddon();
  const group = `${v2Root?.mountPoint ?? ''}/berth-test-${process.pid}`;

  beforeAll(() => {
    mkdirSync(group);
  });
  afterAll(() => {
    rmdirSync(group);
  });

  const tryDevices = async (): Promise<string> => {
    const script = `echo 0 >${group}/cgroup.procs; for d in null zero; do (: </dev/$d) 2>&- && echo $d; done; true`;
    return (await runProcess(ctx, addon, { path: '/bin/sh', argv: ['sh', '-c', script], env: [], limit: 100 })).stdout;
  };

  test('enforce the rules, and a new program takes the place of the old one', async () => {
    const denyAll: DeviceRule = { allow: false, type: 'a', access: 'rwm' };
    const only = (minor: number): Uint8Array =>
      deviceProgram([denyAll, { allow: true, type: 'c', major: 1, minor, access: 'rwm' }]);
    expect(await tryDevices()).toBe('null\nzero\n');
    await addon.attachDeviceProgram(group, only(3));
    expect(await tryDevices()).toBe('null\n');
    await addon.attachDeviceProgram(group, only(5));
    expect(await tryDevices()).toBe('zero\n');
    for (let i = 0; i < 100; i++) await addon.attachDeviceProgram(group, only(i));
    await addon.attachDeviceProgram(group, deviceProgram([{ allow: true, type: 'a', access: 'rwm' }]));
    expect(await tryDevices()).toBe('null\nzero\n');
  });

  test('bytes that are no program are refused', async () => {
    await expect(addon.attachDeviceProgram(group, new Uint8Array(7))).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(addon.attachDeviceProgram(group, new Uint8Array(8))).rejects.toMatchObject({ syscall: 'bpf' });
    const program = new Uint8Array([0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
    await expect(addon.attachDeviceProgram(`${group}/none`, program)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
