import { describeConfig } from '#config/describe';

const intro = `# Sample of /etc/berth/config.toml for a node of a cluster, made by \`npm run gen\` from src/config/schema.ts. Every line
# that begins with "#" and a key shows a default; docs/config.md says more. Files in /etc/berth/config.d/ override single
# keys, in lexical order. \`berth config check\` reads all of them without berthd.
`;

/** A cluster's network is made by its plugins; that is what this sample is for. */
const chosen = new Map([['network.mode', '"cni"']]);

/** The text of deploy/config.toml. */
export function configSample(): string {
  const parts = [intro];
  for (const { group, meaning, keys } of describeConfig()) {
    if (group !== '') parts.push(`# ${meaning}\n[${group}]`);
    for (const { key, default: value, meaning: what } of keys) {
      const choice = chosen.get(`${group}.${key}`);
      const line = `${choice === undefined ? '# ' : ''}${key} = ${choice ?? toml(value)}`;
      parts.push(`${wrapped(what)}\n${line}`);
    }
    parts.push('');
  }
  return `${parts.join('\n').trimEnd()}\n`;
}

/** Texts, numbers, truth values and lists of them are written in TOML as in JSON. */
function toml(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(toml).join(', ')}]` : JSON.stringify(value);
}

function wrapped(text: string): string {
  const lines = ['##'];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (`${last} ${word}`.length <= 120) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`## ${word}`);
  }
  return lines.join('\n');
}
