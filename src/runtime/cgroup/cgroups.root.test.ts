import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from '@jest/globals';

import { createCtx } from '#base/ctx';

import { loadAddon } from '#linux/load';
import { parseMountinfo } from '#linux/mountinfo';

import { cgroupsContract } from './cgroups.contract.ts';
import { detectLayout, type Hierarchy } from './detect.ts';
import { deviceProgram } from './device-program.ts';
import { V1Cgroups } from './v1-cgroups.ts';
import { V2Cgroups } from './v2-cgroups.ts';

// The contract on this machine's own hierarchies, below a group of this process' own.
const parent = `/berth-test-${process.pid}`;
const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8');
const layout = detectLayout(mountinfo);
// A hybrid machine has a v2 tree beside v1, with few controllers or none: enough for everything but limits.
const unified = parseMountinfo(mountinfo).find(({ fsType }) => fsType === 'cgroup2');

if (process.getuid?.() !== 0) {
  describe('cgroups', () => {
    test.skip('need root', () => undefined);
  });
  console.warn('skipped: src/runtime/cgroup/cgroups.root.test.ts needs root');
} else {
  const addon = loadAddon();
  if (layout.version === 1 && layout.hierarchies.length > 0) {
    const cgroups = new V1Cgroups(addon, layout.hierarchies);
    cgroupsContract('cgroup v1', parent, addon, cgroups);
    halfMadeParents(cgroups, layout.hierarchies);
    othersStay(cgroups, layout.hierarchies);
  }
  if (unified) {
    const controllers = readFileSync(`${unified.mountPoint}/cgroup.controllers`, 'utf8').trim().split(/\s+/);
    const cgroups = new V2Cgroups({
      addon,
      mountpoint: unified.mountPoint,
      controllers: controllers.filter((name) => name !== ''),
      allowDevices: (_ctx, directory, rules) => addon.attachDeviceProgram(directory, deviceProgram(rules)),
    });
    cgroupsContract('cgroup v2', parent, addon, cgroups);
  }
}

/** A kubelet makes a pod's group only in the hierarchies that it knows: the first container once failed with EEXIST. */
function halfMadeParents(cgroups: V1Cgroups, hierarchies: readonly Hierarchy[]): void {
  test('a group is made although its parent exists in some hierarchies and not in others', async () => {
    const ctx = createCtx();
    const known = hierarchies.slice(0, Math.ceil(hierarchies.length / 2));
    for (const { mountpoint } of known) mkdirSync(`${mountpoint}${parent}-half/pod`, { recursive: true });
    try {
      const { enter } = await cgroups.create(ctx, `${parent}-half/pod/container`, {});
      expect(enter.filter(({ dir }) => !existsSync(dir))).toEqual([]);
    } finally {
      await cgroups.remove(ctx, `${parent}-half`);
    }
  });
}

/** `cgroup.clone_children` was switched on in the group above, which was the machine's own root for the first of ours. */
function othersStay(cgroups: V1Cgroups, hierarchies: readonly Hierarchy[]): void {
  const cpuset = hierarchies.find(({ controllers }) => controllers.includes('cpuset'))?.mountpoint;
  const withCpuset = cpuset === undefined ? test.skip : test;

  const settingsOf = (directory: string): string =>
    readdirSync(directory)
      .filter((name) => /^(cpuset|notify_on_release|cgroup\.(clone_children|sane_behavior))/.test(name))
      .filter((name) => !name.includes('pressure') && (statSync(path.join(directory, name)).mode & 0o222) !== 0)
      .map((name) => `${name} ${readFileSync(path.join(directory, name), 'utf8').trim()}`)
      .join('\n');

  withCpuset('groups above are not changed, whoever made them, and ours have what they need all the same', async () => {
    const ctx = createCtx();
    const theirs = path.join(cpuset ?? '', `${parent}-theirs`);
    mkdirSync(theirs);
    const given = (file: string): string => readFileSync(path.join(cpuset ?? '', file), 'utf8').trim();
    for (const file of ['cpuset.cpus', 'cpuset.mems']) writeFileSync(path.join(theirs, file), given(file));
    writeFileSync(path.join(theirs, 'cgroup.clone_children'), '0');
    const places = [cpuset ?? '', theirs];
    const before = places.map(settingsOf);
    try {
      await cgroups.create(ctx, `${parent}-theirs/new/pod/container`, {});
      expect(places.map(settingsOf)).toEqual(before);
      for (const group of ['new', 'new/pod', 'new/pod/container']) {
        const has = (file: string): string => readFileSync(path.join(theirs, group, file), 'utf8').trim();
        expect([has('cpuset.cpus'), has('cpuset.mems')]).toEqual([given('cpuset.cpus'), given('cpuset.mems')]);
        expect(has('cgroup.clone_children')).toBe('0');
      }
    } finally {
      await cgroups.remove(ctx, `${parent}-theirs`);
    }
  });
}
