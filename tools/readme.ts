import { unimplemented } from '#server/unimplemented';

const begin = '<!-- unimplemented: begin -->\n';
const end = '<!-- unimplemented: end -->\n';

/** README.md with the table of calls that are not built made anew. */
export function withUnimplemented(readme: string): string {
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from < 0 || to < from) throw new Error('README.md has lost the markers of its table of UNIMPLEMENTED calls');
  return readme.slice(0, from + begin.length) + table() + readme.slice(to);
}

function table(): string {
  const rows = Object.entries(unimplemented).map(([call, sentence]) => `| ${call} | ${sentence} |`);
  return ['| call | what it says |', '|---|---|', ...rows, ''].join('\n');
}
