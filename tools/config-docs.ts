import { describeConfig, type KeyDescription } from '#config/describe';

const intro = `# Configuration

<!-- Made by tools/gen-config-docs.ts from src/config/schema.ts: change it there and run \`npm run gen\`. -->

berthd reads \`/etc/berth/config.toml\` (or the file named by \`--config\`), then every \`*.toml\` in the directory
\`config.d\` beside it in lexical order; a later file overrides single keys of earlier ones. Without any file the
defaults below hold. A key that is not listed here, or a value of another type, stops berthd at start with a message
that names the file and the key.

\`berth config check [FILE]\` reads the files without berthd and shows what they say. SIGHUP (\`systemctl reload berthd\`)
or \`berth config reload\` reads them again: keys that are changed by a reload are taken over, the others wait for a
restart and are named. Files with a mistake change nothing. \`berth config show\` tells what berthd runs with and how the
last reload went.
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
