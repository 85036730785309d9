import { withoutNested, type Subnet } from './subnet.ts';

export interface NftTable {
  readonly name: string;
  readonly bridge: string;
  /** Whose traffic leaves with the node's address. */
  readonly subnets: readonly Subnet[];
}

const words = { 4: { key: 'ip', multicast: '224.0.0.0/4' }, 6: { key: 'ip6', multicast: 'ff00::/8' } } as const;

/**
 * The whole table as `nft -f` reads it, in one transaction: applied twice it is the same, and what an older berthd left
 * is gone. Ports are randomised because two pods that ask one name server at once would otherwise race for one.
 */
export function nftTableText({ name, bridge, subnets }: NftTable): string {
  const outer = withoutNested(subnets);
  const rules = ([4, 6] as const).flatMap((family) => {
    const own = outer.filter((subnet) => subnet.family === family).map((subnet) => subnet.text);
    if (own.length === 0) return [];
    const { key, multicast } = words[family];
    const near = [...own, multicast].join(', ');
    return [
      `    ${key} saddr { ${own.join(', ')} } oifname != "${bridge}" ${key} daddr != { ${near} } masquerade fully-random`,
    ];
  });
  return [
    `table inet ${name}`,
    `flush table inet ${name}`,
    `table inet ${name} {`,
    '  comment "pods leave the node with its address; written by berthd"',
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat; policy accept;',
    ...rules,
    '  }',
    '}',
    '',
  ].join('\n');
}

/** Removes the table; one that is not there is no error, because it is made first. */
export function nftDeleteText(name: string): string {
  return `table inet ${name}\ndelete table inet ${name}\n`;
}
