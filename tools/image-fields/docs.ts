import { becomes, countOf } from '../field-rows/page.ts';
import { alternatives, type FieldRow, type FieldSection } from '../field-rows/row.ts';
import { imageTable, imageTelling } from './rows.ts';

/** The text of docs/image-fields.md. */
export function imageFieldDocs(): string {
  const { told, mistakes } = imageTelling;
  if (mistakes.length > 0) throw new Error(`tools/image-fields/rows.ts: ${mistakes.join('; ')}`);
  const count = (is: FieldRow['is']): number => countOf(told, is);
  const intro = `# What becomes of each field of an image

<!-- Made by tools/gen-image-fields.ts from tools/image-fields/rows.ts: change it there and run \`npm run gen\`. -->

Config, manifest and index of image-spec 1.1.1 and of docker's schema 2 have ${told.length} fields: ${count('done')} are done, ${count('refused')} refused,
${count('none')} without meaning for Berth; none ends nowhere. A test walks this table: what is done has a test that fails where the
field is taken away from the document, what is refused is refused with IMAGE_INVALID and these words, and what has no meaning
is accepted and changes nothing, whatever its kind. \`[]\` stands for every entry of a list, \`**\` for every field below.

What holds for all fields, as Berth's peers have it, which are written in Go (encoding/json):

- A field is found whatever the case of its letters: \`env\` is \`Env\`. Keys of maps (labels, annotations, volumes) are as they are.
- Of a field that comes twice the last one counts; a second object adds its fields to the first, a second map its entries.
  null is nothing: it empties a list or map, and leaves a text as it is.
- A value of the wrong kind is refused by the field's name: no variable is lost. Bytes that are no UTF-8 become U+FFFD.
- Fields that Berth has not heard of are accepted and have no effect, and are counted: \`berth_image_unknown_fields_total\` in
  [metrics.md](metrics.md).
- Documents have 4 MiB at most, more in [limits.md](limits.md). What Berth refuses of layers is in
  [native/unpack](../native/unpack/README.md).

Where Berth differs from containerd 2.4, on purpose: a config of any media type is an image's if it reads as one, artifacts are
refused when they are pulled and not when a container is made, an index is searched for levels of amd64, and fields without
meaning (\`created\`, \`history\`) may have any kind.
`;
  return [intro, ...imageTable.map(section)].join('\n');
}

function section({ title, rows }: FieldSection): string {
  const lines = Object.entries(rows).map(([pattern, row]) => {
    const paths = alternatives(pattern).map((name) => `\`${name.slice(name.indexOf(' ') + 1)}\``);
    return `| ${paths.join(', ')} | ${becomes(row)} |`;
  });
  return [`## ${title}\n`, '| field | what becomes of it |', '|---|---|', ...lines, ''].join('\n');
}
