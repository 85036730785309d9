import type { Forward } from './port-forwards.ts';
import { formatAddress, parseAddress, withoutNested, type Family, type Subnet } from './subnet.ts';

export interface NftTable {
  readonly name: string;
  readonly bridge: string;
  /** Pods' addresses. */
  readonly subnets: readonly Subnet[];
  /** Whether their traffic leaves with the node's address. */
  readonly masquerade: boolean;
  /** Ports of the node that lead to pods. */
  readonly forwards: readonly Forward[];
}

const words = {
  4: { key: 'ip', type: 'ipv4_addr', multicast: '224.0.0.0/4' },
  6: { key: 'ip6', type: 'ipv6_addr', multicast: 'ff00::/8' },
} as const;

/**
 * The whole table as `nft -f` reads it, in one transaction: applied twice it is the same, what an older berthd left is
 * gone, and there is no instant without the ports of running pods. Host ports are elements of maps, so that a pod adds
 * and removes its own and the rules stay as they are.
 */
export function nftTableText({ name, bridge, subnets, masquerade, forwards }: NftTable): string {
  const outer = withoutNested(subnets);
  const families = ([4, 6] as const).filter((family) => outer.some((subnet) => subnet.family === family));
  return [
    ...[`table inet ${name}`, `delete table inet ${name}`, `table inet ${name} {`],
    '  comment "masquerading and host ports of pods; written by berthd"',
    ...families.flatMap(mapsOf),
    ...guard(bridge),
    '  chain host_ports {',
    ...families.flatMap(dnatRules),
    '  }',
    ...hook('prerouting', 'nat', -100, ['fib daddr type local jump host_ports']),
    // The kernel takes no answer to ::1 from the bridge. A connection that is refused lets clients go on to 127.0.0.1.
    ...hook('output', 'nat', -100, ['ip6 daddr ::1 return', 'fib daddr type local jump host_ports']),
    ...hook('postrouting', 'nat', 100, [
      ...families.flatMap((family) => returnRules(family, bridge, outer)),
      ...(masquerade ? families.map((family) => masqueradeRule(family, bridge, outer)) : []),
    ]),
    '}',
    ...elementLines('add', name, forwards),
    '',
  ].join('\n');
}

/** Elements that go and come, in one transaction. */
export function nftChangeText(name: string, removed: readonly Forward[], added: readonly Forward[]): string {
  return [...elementLines('delete', name, removed), ...elementLines('add', name, added), ''].join('\n');
}

/** Removes the table; one that is not there is no error, because it is made first. */
export function nftDeleteText(name: string): string {
  return `table inet ${name}\ndelete table inet ${name}\n`;
}

/** Every element of the forwards as one line of words: what foreignElements compares. */
export function elementsOf(forwards: readonly Forward[]): readonly string[] {
  return forwards.flatMap((forward) => {
    const { map, key, value } = mapElement(forward);
    const target = targetElement(forward);
    return [[map, ...key, ...value].join(' '), [target.set, ...target.key].join(' ')];
  });
}

/** Reads `nft -j list table`: elements of our maps that no forward explains. What it does not understand is passed over. */
export function foreignElements(json: string, forwards: readonly Forward[]): readonly string[] {
  const known = new Set(elementsOf(forwards));
  const { nftables } = JSON.parse(json) as { nftables?: unknown };
  if (!Array.isArray(nftables)) return [];
  return nftables.flatMap((entry: unknown) => {
    const { map, set } = (entry ?? {}) as Record<'map' | 'set', { name?: unknown; elem?: unknown } | undefined>;
    const { name, elem } = map ?? set ?? {};
    if (typeof name !== 'string' || !Array.isArray(elem)) return [];
    return elem
      .map((one: unknown) => [name, ...leaves(one).map(canonical)].join(' '))
      .filter((text) => !known.has(text));
  });
}

/** nft writes some addresses with a dotted tail ("::9.8.7.6"). */
function canonical(word: string): string {
  const address = parseAddress(word);
  return address === undefined ? word : formatAddress(address);
}

/** Names and numbers in it, in order. */
function leaves(value: unknown): readonly string[] {
  if (typeof value === 'string' || typeof value === 'number') return [String(value)];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [];
}

/** Ports of one address are looked up before those of every address. */
function mapsOf(family: Family): readonly string[] {
  const { type } = words[family];
  return [
    `  map ports${family}_at { type ${type} . inet_proto . inet_service : ${type} . inet_service; }`,
    `  map ports${family} { type inet_proto . inet_service : ${type} . inet_service; }`,
    // Where they lead.
    `  set targets${family} { type ${type} . inet_proto . inet_service; }`,
  ];
}

function dnatRules(family: Family): readonly string[] {
  const { key } = words[family];
  return [
    `    dnat ${key} to ${key} daddr . meta l4proto . th dport map @ports${family}_at`,
    `    dnat ${key} to meta l4proto . th dport map @ports${family}`,
  ];
}

/**
 * The bridge carries packets of 127.0.0.0/8 for host ports on localhost (route_localnet). On the wire they have the
 * bridge's address: a packet that comes from a pod with one of localhost wants to what listens for the node alone.
 */
function guard(bridge: string): readonly string[] {
  return hook('guard', 'filter', -300, [
    `iifname "${bridge}" ip daddr 127.0.0.0/8 drop`,
    `iifname "${bridge}" ip saddr 127.0.0.0/8 drop`,
  ]);
}

/** Who must answer through the node although it could answer directly, or could not answer at all. */
function returnRules(family: Family, bridge: string, outer: readonly Subnet[]): readonly string[] {
  const { key } = words[family];
  const target = `ct status dnat ${key} daddr . meta l4proto . th dport @targets${family}`;
  const local = family === 4 ? [`ip saddr 127.0.0.0/8 oifname "${bridge}" ${target} masquerade`] : [];
  return [...local, `${key} saddr { ${own(family, outer)} } oifname "${bridge}" ${target} masquerade`];
}

/** Ports are randomised because two pods that ask one name server at once would otherwise race for one. */
function masqueradeRule(family: Family, bridge: string, outer: readonly Subnet[]): string {
  const { key, multicast } = words[family];
  const pods = own(family, outer);
  return `${key} saddr { ${pods} } oifname != "${bridge}" ${key} daddr != { ${pods}, ${multicast} } masquerade fully-random`;
}

function own(family: Family, outer: readonly Subnet[]): string {
  return outer
    .filter((subnet) => subnet.family === family)
    .map(({ text }) => text)
    .join(', ');
}

function hook(chain: string, type: 'nat' | 'filter', priority: number, rules: readonly string[]): readonly string[] {
  const at = type === 'filter' ? 'prerouting' : chain;
  return [
    `  chain ${chain} {`,
    `    type ${type} hook ${at} priority ${priority}; policy accept;`,
    ...rules.map((rule) => `    ${rule}`),
    '  }',
  ];
}

function elementLines(verb: 'add' | 'delete', table: string, forwards: readonly Forward[]): readonly string[] {
  const byName = new Map<string, Set<string>>();
  const put = (name: string, element: string): void => {
    byName.set(name, (byName.get(name) ?? new Set()).add(element));
  };
  for (const forward of forwards) {
    const { map, key, value } = mapElement(forward);
    put(map, verb === 'add' ? `${key.join(' . ')} : ${value.join(' . ')}` : key.join(' . '));
    const target = targetElement(forward);
    put(target.set, target.key.join(' . '));
  }
  return [...byName].map(([name, elements]) => `${verb} element inet ${table} ${name} { ${[...elements].join(', ')} }`);
}

type Words = readonly (string | number)[];

function mapElement(forward: Forward): { readonly map: string; readonly key: Words; readonly value: Words } {
  const { family, protocol, hostAddress, hostPort, podAddress, podPort } = forward;
  const key = [protocol, hostPort];
  const value = [podAddress, podPort];
  if (hostAddress === '') return { map: `ports${family}`, key, value };
  return { map: `ports${family}_at`, key: [hostAddress, ...key], value };
}

function targetElement({ family, protocol, podAddress, podPort }: Forward): {
  readonly set: string;
  readonly key: Words;
} {
  return { set: `targets${family}`, key: [podAddress, protocol, podPort] };
}
