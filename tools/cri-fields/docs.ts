import { becomes, countOf } from '../field-rows/page.ts';
import type { FieldRow, FieldSection } from '../field-rows/row.ts';
import { fieldTable, telling, type ToldField } from './table.ts';

/** The text of docs/cri-fields.md. */
export function fieldDocs(): string {
  const { told, mistakes } = telling;
  if (mistakes.length > 0) throw new Error(`tools/cri-fields/rows: ${mistakes.join('; ')}`);
  return [intro(told), ...fieldTable.map(section)].join('\n');
}

function intro(told: readonly ToldField[]): string {
  const count = (is: FieldRow['is']): number => countOf(told, is);
  const calls = new Set(told.map(({ call }) => call)).size;
  return `# What becomes of each field of CRI

<!-- Made by tools/gen-cri-fields.ts from tools/cri-fields/rows: change it there and run \`npm run gen\`. -->

The requests of version 0.37.2 have ${told.length} fields that hold a value, in ${calls} calls. ${count('done')} are done, ${count('refused')} refused, ${count('none')} without
meaning for Berth; none ends nowhere. Each has a row below, and a test walks the protocol and fails for a field without one.

- **Done**: named is the test that shows it, of \`tools/cri-fields/tests\`. \`make fields\` takes one field after another away
  from what arrives, behind the decoder, and fails where the test does not notice. The tests see what the shim and the control
  groups are asked for; the end-to-end tests see what the kernel makes of it.
- **Refused**: the call fails with this code and sentence, when the field has a value. A test sends each.
- **No meaning**: the field is accepted. A test sends each, and sees that nothing else is asked of the runtime because of it.

\`{a,b}\` stands for either, \`[]\` for every entry of a list, \`**\` for every field below that has no row of its own. What a
field may hold at most is in [limits.md](limits.md).

What holds for all fields:

- A field that is not sent, and one that is sent with 0, "" or an empty list, are the same. Messages can be absent: an empty
  \`seccomp\` asks for the runtime's default, none asks for nothing.
- A field that Berth has not heard of, of a newer kubelet, is accepted and has no effect, as protobuf asks, and is counted:
  \`berth_call_unknown_fields_total\` in [metrics.md](metrics.md).
- A value of an enum that Berth has not heard of is refused with INVALID_ARGUMENT where it would decide something, because
  what it asks for is not known; a state in a filter finds nobody, and in a field without meaning it is accepted.
`;
}

function section({ title, about, rows }: FieldSection): string {
  const lines = Object.entries(rows).map(([pattern, row]) => {
    const [calls = '', path = ''] = pattern.split(' ');
    return `| ${calls.replace(/[{}]/g, '').replace(/,/g, ', ')} | \`${path}\` | ${becomes(row)} |`;
  });
  return [
    `## ${title}`,
    ...(about === '' ? [] : [about]),
    ['| call | field | what becomes of it |', '|---|---|---|', ...lines, ''].join('\n'),
  ].join('\n\n');
}
