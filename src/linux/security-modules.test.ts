import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { securityModules } from './security-modules.ts';

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true });
});

function world(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(path.join(tmpdir(), 'berth-lsm-'));
  made.push(root);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  }
  return root;
}

const lsm = 'sys/kernel/security/lsm';
const enabled = 'sys/module/apparmor/parameters/enabled';
const enforce = 'sys/fs/selinux/enforce';
const label = 'proc/self/attr/current';

describe('AppArmor', () => {
  test.each<[string, Record<string, string>, boolean]>([
    ['on', { [lsm]: 'lockdown,capability,yama,apparmor', [enabled]: 'Y\n' }, true],
    ['on, and securityfs not mounted', { [enabled]: 'Y\n' }, true],
    ['built in, and switched off', { [lsm]: 'capability,yama', [enabled]: 'N\n' }, false],
    ['not among the modules that were chosen', { [lsm]: 'capability,yama', [enabled]: 'Y\n' }, false],
    ['not built in', { [lsm]: 'capability' }, false],
    ['no sysfs at all', {}, false],
  ])('%s', (_what, files, apparmor) => {
    expect(securityModules(world(files))).toEqual({ apparmor, selinux: false, seccomp: false });
  });
});

describe('SELinux', () => {
  const context = 'system_u:system_r:unconfined_service_t:s0\0';
  test.each<[string, Record<string, string>, boolean]>([
    ['enforcing', { [lsm]: 'capability,selinux', [enforce]: '1', [label]: context }, true],
    ['permissive: its labels count as well', { [lsm]: 'capability,selinux', [enforce]: '0', [label]: context }, true],
    ['without a policy', { [lsm]: 'capability,selinux', [enforce]: '0', [label]: 'kernel\0' }, false],
    ['switched off', { [lsm]: 'capability,bpf', [enforce]: '0' }, false],
    ['its file system is not mounted', { [lsm]: 'capability,selinux' }, false],
  ])('%s', (_what, files, selinux) => {
    expect(securityModules(world(files))).toEqual({ apparmor: false, selinux, seccomp: false });
  });
});

test('seccomp is there where the kernel has its actions', () => {
  expect(securityModules(world({ 'proc/sys/kernel/seccomp/actions_avail': 'kill_process errno allow\n' }))).toEqual({
    apparmor: false,
    selinux: false,
    seccomp: true,
  });
});
