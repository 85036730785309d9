import { expect, test } from '@jest/globals';
import type { Addon, FileOperation } from '#linux/addon';
import { cpusetReads, inheritedCpuset } from './v1-cpuset.ts';

/** Groups of the cpuset controller in memory, by the path of a file. */
class Groups {
  readonly files: Map<string, string>;
  batches = 0;
  readonly addon: Pick<Addon, 'batch'> = {
    batch: async (operations) => {
      this.batches += 1;
      if (this.batches > 100) throw new Error('it goes round and round');
      return operations.map((operation) => this.#do(operation));
    },
  };

  constructor(files: Readonly<Record<string, string>>) {
    this.files = new Map(Object.entries(files));
  }

  #do(operation: FileOperation): { data?: string } {
    if (operation.op === 'write') this.files.set(operation.path, operation.data);
    const data = operation.op === 'read' ? this.files.get(operation.path) : undefined;
    return data === undefined ? {} : { data };
  }

  async inherit(group: string): Promise<readonly string[]> {
    const found = await this.addon.batch(cpusetReads('/cpuset', group));
    const writes = await inheritedCpuset(this.addon, '/cpuset', group, found);
    return writes.map((write) => (write.op === 'write' ? `${write.path} ${write.data}` : write.op));
  }
}

const empty = (...groups: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    groups.flatMap((group) => ['cpus', 'mems'].map((name) => [`/cpuset${group}/cpuset.${name}`, '\n'])),
  );

test('a group gets what the one above has, which is filled from the top where it is empty too', async () => {
  const root = { '/cpuset/cpuset.cpus': '0-3\n', '/cpuset/cpuset.mems': '0\n' };
  const groups = new Groups({ ...empty('/a', '/a/b', '/a/b/c'), ...root });
  expect(await groups.inherit('/a/b/c')).toEqual(['/cpuset/a/b/c/cpuset.cpus 0-3', '/cpuset/a/b/c/cpuset.mems 0']);
  expect(groups.files.get('/cpuset/a/b/cpuset.cpus')).toBe('0-3');
  expect(groups.files.get('/cpuset/a/cpuset.mems')).toBe('0');
});

test('where the top itself has nothing, nothing is written, and it ends', async () => {
  const groups = new Groups({ ...empty('', '/a', '/a/b') });
  expect(await groups.inherit('/a/b')).toEqual([]);
});
