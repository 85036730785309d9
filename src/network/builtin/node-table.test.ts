import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { FakeTools } from './network-addon.fake.ts';
import { NodeTable } from './node-table.ts';
import type { Forward } from './port-forwards.ts';
import { parseSubnet } from './subnet.ts';

const ctx = createCtx();
const subnets = [parseSubnet('10.89.0.0/16')];
const forward = (hostPort: number): Forward => ({
  ...{ family: 4, protocol: 'tcp', hostAddress: '', hostPort, podAddress: '10.89.0.2', podPort: 80 },
});

function open(before: ReadonlyMap<string, readonly Forward[]> = new Map()): { table: NodeTable; tools: FakeTools } {
  const tools = new FakeTools();
  const config = { bridge: 'berth0', nftTable: 'berth', masquerade: true };
  return { tools, table: new NodeTable({ ctx, run: tools.run, config }, before) };
}

describe('the table on the node', () => {
  test('the first write has the ports of pods that live', async () => {
    const { table, tools } = open(new Map([['old', [forward(80)]]]));
    await table.write(subnets);
    expect(tools.tables).toHaveLength(1);
    expect(tools.tables[0]).toContain('ports4 { tcp . 80 :');
  });

  test('pods that come together go in one run; those that come meanwhile in the next', async () => {
    const { table, tools } = open();
    await table.write(subnets);
    const first = ['a', 'b', 'c'].map((podId, at) => table.add(podId, [forward(at + 1)]));
    await Promise.resolve();
    const second = table.add('d', [forward(4)]);
    await Promise.all([...first, second]);
    expect(tools.tables).toHaveLength(3);
    expect(tools.tables[1]).toContain('ports4 { tcp . 1 : 10.89.0.2 . 80, tcp . 2 : 10.89.0.2 . 80, tcp . 3 :');
    expect(tools.tables[2]).toContain('ports4 { tcp . 4 :');
  });

  test('a port that came and went before its turn costs nothing', async () => {
    const { table, tools } = open();
    await table.write(subnets);
    await Promise.all([table.add('a', [forward(1)]), table.remove('a')]);
    expect(tools.tables).toHaveLength(1);
  });

  test('before the first write nothing is told to nft; then all is', async () => {
    const { table, tools } = open();
    await table.add('a', [forward(1)]);
    expect(tools.tables).toEqual([]);
    await table.write(subnets);
    expect(tools.tables[0]).toContain('tcp . 1 :');
  });

  test('a table that another program deleted is written anew', async () => {
    const { table, tools } = open();
    await table.write(subnets);
    await table.add('a', [forward(1)]);
    tools.codes.push(1);
    await table.add('b', [forward(2)]);
    expect(tools.tables.at(-1)).toMatch(/delete table[\s\S]*tcp \. 1 : .*tcp \. 2 :/);
  });

  test('who cannot be served is told, and leaves no trace in the next run', async () => {
    const { table, tools } = open();
    await table.write(subnets);
    tools.codes.push(1, 1);
    await expect(table.add('a', [forward(1)])).rejects.toMatchObject({ code: 'KERNEL' });
    await table.remove('a');
    await table.add('b', [forward(2)]);
    expect(tools.tables.slice(-2).join()).not.toContain('tcp . 1 :');
  });

  test('elements of nobody are named', async () => {
    const { table, tools } = open(new Map([['old', [forward(80)]]]));
    await table.write(subnets);
    const elem = [80, 81].map((port) => [{ concat: ['tcp', port] }, { concat: ['10.89.0.2', 80] }]);
    tools.chains = JSON.stringify({ nftables: [{ map: { name: 'ports4', elem } }] });
    expect(await table.foreign(ctx)).toEqual(['host port element ports4 tcp 81 10.89.0.2 80 in table berth']);
  });
});
