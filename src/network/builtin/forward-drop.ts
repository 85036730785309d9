import type { Ctx } from '#base/ctx';
import type { Addon } from '#linux/addon';
import { runNamedTool, type RunTool } from './run-tool.ts';

const namesLimit = 4096;
const legacy = [
  { names: '/proc/net/ip_tables_names', tool: 'iptables-legacy' },
  { names: '/proc/net/ip6_tables_names', tool: 'ip6tables-legacy' },
] as const;

/**
 * Chains of other programs that drop forwarded packets unless a rule of theirs accepts them: pods would reach nothing,
 * and an accept in a table of ours cannot overrule them.
 */
export async function detectForwardDrop(
  ctx: Ctx,
  run: RunTool,
  addon: Pick<Addon, 'batch'>,
  ownTable: string,
): Promise<readonly string[]> {
  const drops = [...forwardDrops(await runNamedTool(ctx, run, 'nft', ['-j', 'list', 'chains']), ownTable)];
  const tables = await addon.batch(
    legacy.map(({ names }) => ({ op: 'read', path: names, limit: namesLimit, optional: true })),
  );
  for (const [index, { tool }] of legacy.entries()) {
    // Asking would load the table where there is none.
    if (tables[index]?.data?.split('\n').includes('filter') !== true) continue;
    const rules = await runNamedTool(ctx, run, tool, ['-S', 'FORWARD']);
    if (/^-P FORWARD DROP$/m.test(rules)) drops.push(`${tool} filter FORWARD`);
  }
  return drops;
}

/** Reads `nft -j list chains`; what it does not understand is passed over. */
export function forwardDrops(json: string, ownTable: string): readonly string[] {
  const { nftables } = JSON.parse(json) as { nftables?: unknown };
  if (!Array.isArray(nftables)) return [];
  return nftables.flatMap((entry: unknown) => {
    const { chain } = (entry ?? {}) as { chain?: Readonly<Record<string, unknown>> };
    if (chain?.['hook'] !== 'forward' || chain['policy'] !== 'drop') return [];
    const [family, table, name] = [String(chain['family']), String(chain['table']), String(chain['name'])];
    if (!['ip', 'ip6', 'inet'].includes(family) || (family === 'inet' && table === ownTable)) return [];
    return [`${family} ${table} ${name}`];
  });
}

/** For people, in the network's status. */
export function forwardDropMessage(drops: readonly string[], bridge: string): string {
  if (drops.length === 0) return '';
  return (
    `another program's firewall drops forwarded packets by default (${drops.join('; ')}): ` +
    `pods reach no other machine unless it accepts interface ${bridge}`
  );
}
