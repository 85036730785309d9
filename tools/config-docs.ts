import { describeConfig, type KeyDescription } from '#config/describe';

const intro = `# Configuration

<!-- Made by tools/gen-config-docs.ts from src/config/schema.ts: change it there and run \`npm run gen\`. -->

berthd reads \`/etc/berth/config.toml\` (or the file named by \`--config\`), then every \`*.toml\` in the directory
\`config.d\` beside it in lexical order; a later file overrides single keys of earlier ones. Without any file the
defaults below hold. A key that is not listed here, or a value of another type, stops berthd at start with a message
that names the file and the key.

\`berth config check [FILE]\` reads the files without berthd, and those of registries that they name, and shows what
they say. SIGHUP (\`systemctl reload berthd\`) or \`berth config reload\` reads them again: keys that are changed by a
reload are taken over, the others wait for a restart and are named. Files with a mistake change nothing, and the
\`berth\` commands, which need no more of them than the sockets, warn of it. \`berth config show\` tells what berthd runs
with and how the last reload went.

## How values are written

| type | how | examples | not |
|---|---|---|---|
| duration | A whole number from 1 and a unit, in quotes: \`ms\`, \`s\`, \`m\` (minutes) or \`h\`. One unit only, no fractions. | \`"500ms"\`, \`"90s"\`, \`"4h"\` | \`30\`, \`"1.5s"\`, \`"1h30m"\`, \`"0s"\` |
| limit in ... | \`"SOFT:HARD"\`, or one for both, in quotes: each a whole number of the unit that is named, without a suffix, or \`unlimited\`. The soft one holds; a process may raise its own up to the hard one. | \`"1024:524288"\`, \`"8388608"\`, \`"8388608:unlimited"\` | \`1024\`, \`"8M"\`, \`"2000:1000"\`, \`"-1"\` |
| integer | A whole number within the bounds that are shown, without quotes. The name or the meaning says of what: \`reserve_mib\` is MiB (1048576 bytes), \`minimum_throughput\` bytes a second. | \`16\`, \`1_000\` | \`"16"\`, \`"16M"\`, \`1.5\` |
| path | Absolute, without \`..\` or a closing slash, in quotes. | \`"/var/lib/berth"\` | \`"./x"\`, \`"/x/"\`, \`"~/x"\` |
| address | A literal IP address and a port, in quotes; \`""\` for off. | \`"127.0.0.1:9478"\`, \`"[::1]:0"\` | \`"localhost:80"\`, \`":80"\` |
| subnet | An address and the length of its prefix, in quotes; \`""\` for none. | \`"10.89.0.0/16"\`, \`"fd89::/64"\` | \`"10.89.0.0"\` |
| list of ... | Values in brackets. A later file's list takes the place of an earlier one's. | \`["/opt/cni/bin", "/usr/lib/cni"]\`, \`[]\` | \`"/opt/cni/bin"\` |
`;

/** The text of docs/config.md. */
export function configDocs(): string {
  const parts = [intro];
  for (const { group, meaning, keys } of describeConfig()) {
    parts.push(`## ${group === '' ? 'Top' : `[${group}]`}\n\n${meaning}\n\n${table(keys)}`);
  }
  return parts.join('\n');
}

function table(keys: readonly KeyDescription[]): string {
  const rows = keys.map(
    ({ key, type, default: value, meaning, live }) =>
      `| \`${key}\` | ${type} | \`${JSON.stringify(value)}\` | ${live ? 'reload' : 'restart'} | ${meaning} |`,
  );
  return ['| key | type | default | changed by | meaning |', '|---|---|---|---|---|', ...rows, ''].join('\n');
}
