import { imageFields, type ImageDocument, type ImageField } from './fields.ts';

/** What becomes of a field of an image. */
export type ImageRow =
  | { readonly is: 'done'; readonly what: string; readonly test: string }
  | { readonly is: 'refused'; readonly when: string; readonly value: unknown; readonly says: string }
  | { readonly is: 'none'; readonly why: string };

/** `test` is of `imageFieldTests`: it passes, and fails where the field is taken away from the document. */
export const done = (what: string, test: string): ImageRow => ({ is: 'done', what, test });
/** IMAGE_INVALID for `value`, of which `when` tells. */
export const refused = (when: string, value: unknown, says: string): ImageRow => ({ is: 'refused', when, value, says });
export const noMeaning = (why: string): ImageRow => ({ is: 'none', why });

/** Rows by paths; several of them, with spaces between, are of one kind. */
export type ImageRows = Readonly<Record<ImageDocument, Readonly<Record<string, ImageRow>>>>;

export interface ToldImageField extends ImageField {
  readonly row: ImageRow;
}

export interface ImageTelling {
  readonly told: readonly ToldImageField[];
  /** Fields without a row or with two, rows without a field. */
  readonly mistakes: readonly string[];
}

export function tellImages(rows: ImageRows, fields: readonly ImageField[] = imageFields): ImageTelling {
  const mistakes: string[] = [];
  const byName = new Map<string, ImageRow>();
  for (const [document, ofDocument] of Object.entries(rows)) {
    for (const [paths, row] of Object.entries(ofDocument)) {
      for (const path of paths.split(' ')) {
        const name = `${document} ${path}`;
        if (byName.has(name)) mistakes.push(`${name} has two rows`);
        byName.set(name, row);
      }
    }
  }
  const told = fields.flatMap((field) => {
    const name = `${field.document} ${field.path}`;
    const row = byName.get(name);
    byName.delete(name);
    if (!row) mistakes.push(`${name} has no row`);
    return row ? [{ ...field, row }] : [];
  });
  for (const name of byName.keys()) mistakes.push(`${name} is no field`);
  return { told, mistakes };
}
