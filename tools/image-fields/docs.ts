import { imageDocuments } from './fields.ts';
import type { ImageRow } from './row.ts';
import { imageRows, imageTelling } from './rows.ts';

const titles = { config: 'Config', manifest: 'Manifest', index: 'Index' } as const;

/** The text of docs/image-fields.md. */
export function imageFieldDocs(): string {
  const { told, mistakes } = imageTelling;
  if (mistakes.length > 0) throw new Error(`tools/image-fields/rows.ts: ${mistakes.join('; ')}`);
  const count = (is: ImageRow['is']): number => told.filter(({ row }) => row.is === is).length;
  const intro = `# What becomes of each field of an image

<!-- Made by tools/gen-image-fields.ts from tools/image-fields/rows.ts: change it there and run \`npm run gen\`. -->

Config, manifest and index of image-spec 1.1.1 and of docker's schema 2 have ${told.length} fields: ${count('done')} are done, ${count('refused')} refused,
${count('none')} without meaning for Berth; none ends nowhere. A test walks this table: what is done has a test that fails where the
field is taken away from the document, what is refused is refused with IMAGE_INVALID and these words, and what has no meaning
is accepted and changes nothing, whatever its kind.

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
  return [intro, ...imageDocuments.map(section)].join('\n');
}

function section(document: keyof typeof titles): string {
  const rows = Object.entries(imageRows[document]).map(([paths, row]) => {
    const names = paths.split(' ').map((path) => `\`${path}\``);
    return `| ${names.join(', ')} | ${becomes(row)} |`;
  });
  return [`## ${titles[document]}\n`, '| field | what becomes of it |', '|---|---|', ...rows, ''].join('\n');
}

function becomes(row: ImageRow): string {
  switch (row.is) {
    case 'done':
      return `${row.what}. Test: *${row.test}*`;
    case 'refused':
      return `**refused** for ${row.when}: "${row.says}"`;
    case 'none':
      return `no meaning: ${row.why}`;
    default:
      return row satisfies never;
  }
}
