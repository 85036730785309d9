import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { lookAtProcesses } from './processes.ts';

const shim = 100;
const roots = new Map([[shim, 'pod']]);
const cgroups = { groupOf: (text: string) => /^1:cpu:(.*)$/m.exec(text)?.[1] };

let proc: string;
beforeEach(() => {
  proc = mkdtempSync(`${tmpdir()}/berth-proc-`);
  add(1, { parent: 0 });
  add(shim, { parent: 1 });
});
afterEach(() => rmSync(proc, { recursive: true }));

interface Shown {
  readonly parent: number;
  readonly name?: string;
  readonly state?: string;
  readonly flags?: number;
  readonly group?: string;
}

function add(pid: number, { parent, name = 'sh', state = 'S', flags = 0x400100, group = '/' }: Shown): void {
  mkdirSync(`${proc}/${pid}`);
  writeFileSync(`${proc}/${pid}/stat`, `${pid} (${name}) ${state} ${parent} ${pid} ${pid} 0 -1 ${flags} 0 0 0\n`);
  writeFileSync(`${proc}/${pid}/cgroup`, `1:cpu:${group}\n`);
}

test('descendants of a shim are seen with their groups, whatever they are called', async () => {
  add(200, { parent: shim, group: '/kubepods/a' });
  add(300, { parent: 200, name: 'a) S 1 (b', group: '/' });
  add(400, { parent: 1, group: '/system' });
  expect(await lookAtProcesses(cgroups, roots, proc)).toEqual([
    { pid: 200, podId: 'pod', group: '/kubepods/a' },
    { pid: 300, podId: 'pod', group: '/' },
  ]);
});

test('a process that is ending or a zombie, which v1 hierarchies show in "/", is no process that lies around', async () => {
  add(200, { parent: shim, flags: 0x400104 });
  add(300, { parent: shim, state: 'Z', flags: 0x40010c });
  add(400, { parent: 200, flags: 0x400100, group: '/kubepods/a' });
  expect(await lookAtProcesses(cgroups, roots, proc)).toEqual([{ pid: 400, podId: 'pod', group: '/kubepods/a' }]);
});

test('a process that ends between two looks is not seen', async () => {
  add(200, { parent: shim, group: '/' });
  const ending = {
    groupOf: (text: string) => {
      rmSync(`${proc}/200`, { recursive: true });
      return cgroups.groupOf(text);
    },
  };
  expect(await lookAtProcesses(ending, roots, proc)).toEqual([]);
});
