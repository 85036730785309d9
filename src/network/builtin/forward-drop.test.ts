import { expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { detectForwardDrop, forwardDropMessage, forwardDrops } from './forward-drop.ts';
import type { RunTool } from './run-tool.ts';

const chain = (fields: object): object => ({
  chain: { family: 'ip', table: 'filter', name: 'FORWARD', type: 'filter', hook: 'forward', policy: 'drop', ...fields },
});
const json = (...chains: unknown[]): string =>
  JSON.stringify({ nftables: [{ metainfo: { version: '1.0.6' } }, ...chains] });

test('finds chains at the forward hook that drop by default', () => {
  const text = json(
    chain({}),
    chain({ family: 'ip6', policy: 'accept' }),
    chain({ family: 'inet', table: 'firewalld', name: 'filter_FORWARD' }),
    chain({ hook: 'input' }),
    chain({ family: 'bridge' }),
    chain({ family: 'inet', table: 'berth' }),
    { chain: { family: 'ip', table: 'filter', name: 'DOCKER' } },
    null,
  );
  expect(forwardDrops(text, 'berth')).toEqual(['ip filter FORWARD', 'inet firewalld filter_FORWARD']);
  expect(forwardDrops('{}', 'berth')).toEqual([]);
});

test('asks the old iptables only where its table is loaded', async () => {
  const asked: string[] = [];
  const run: RunTool = async (_ctx, { path, argv }) => {
    asked.push(path);
    return { code: 0, stdout: argv[0] === 'nft' ? json() : '-P FORWARD DROP\n-A FORWARD -j X\n', stderr: '' };
  };
  const tables = (ip: string) => ({ batch: async () => [{ data: ip }, { error: 'ENOENT' }] });
  expect(await detectForwardDrop(createCtx(), run, tables('nat\n'), 'berth')).toEqual([]);
  expect(asked).toEqual(['/usr/sbin/nft']);
  expect(await detectForwardDrop(createCtx(), run, tables('nat\nfilter\n'), 'berth')).toEqual([
    'iptables-legacy filter FORWARD',
  ]);
});

test('the message names the chains and the interface', () => {
  expect(forwardDropMessage([], 'berth0')).toBe('');
  expect(forwardDropMessage(['ip filter FORWARD'], 'berth0')).toMatch(/ip filter FORWARD.*interface berth0/);
});
