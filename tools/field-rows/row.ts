import type { ErrorCode } from '#base/error-codes';

/** What becomes of a field that a client has set, or the author of a document. */
export type FieldRow = Done | Refused | NoMeaning;

export interface Done {
  readonly is: 'done';
  readonly what: string;
  /** Of the table's tests: it passes, and fails where the field is taken away from what arrives. */
  readonly test: string;
}

export interface Refused {
  readonly is: 'refused';
  readonly code: ErrorCode;
  /** Part of the message. */
  readonly says: string;
  /** Not always: on which nodes, or for what. */
  readonly when?: string;
  /** A value that would be taken otherwise; missing: any. */
  readonly value?: unknown;
}

export interface NoMeaning {
  readonly is: 'none';
  readonly why: string;
}

export const done = (what: string, test: string): Done => ({ is: 'done', what, test });
export const refused = (code: ErrorCode, says: string, more: Pick<Refused, 'when' | 'value'> = {}): Refused => ({
  ...{ is: 'refused', code, says },
  ...more,
});
export const noMeaning = (why: string): NoMeaning => ({ is: 'none', why });

/**
 * Rows by the fields they are about: the call or document, a space, the field's path. `{a,b}` stands for either; `**` at the end for
 * every field below that has no row of its own.
 */
export type FieldRows = Readonly<Record<string, FieldRow>>;

/** Rows that belong together, under one heading of the page. */
export interface FieldSection {
  readonly title: string;
  readonly about: string;
  readonly rows: FieldRows;
}

/** A field with the row that tells of it. */
export type Told<Field> = Field & { readonly pattern: string; readonly row: FieldRow };

export interface Telling<Field> {
  readonly told: readonly Told<Field>[];
  /** Fields without a row, rows without a field, fields with two. */
  readonly mistakes: readonly string[];
}

/** Which row tells of which field; `nameOf` gives the call or document, a space, the path. */
export function tell<Field>(
  fields: readonly Field[],
  sections: readonly FieldSection[],
  nameOf: (field: Field) => string,
): Telling<Field> {
  const mistakes: string[] = [];
  const exact = new Map<string, readonly [string, FieldRow]>();
  const below = new Map<string, readonly [string, FieldRow]>();
  for (const [pattern, row] of sections.flatMap(({ rows }) => Object.entries(rows))) {
    for (const name of alternatives(pattern)) {
      const [place, key] = /[. ]\*\*$/.test(name) ? [below, name.replace(/\.?\*\*$/, '')] : [exact, name];
      if (place.has(key)) mistakes.push(`${name} has two rows`);
      place.set(key, [pattern, row]);
    }
  }
  const used = new Set<string>();
  const told = fields.flatMap((field) => {
    const name = nameOf(field);
    const [key, found] = exact.has(name) ? [name, exact.get(name)] : nearest(name, below);
    if (!found) {
      mistakes.push(`${name} has no row`);
      return [];
    }
    used.add(key);
    return [{ ...field, pattern: found[0], row: found[1] }];
  });
  for (const key of [...exact.keys(), ...below.keys()])
    if (!used.has(key)) mistakes.push(`${key}: no field is told of`);
  return { told, mistakes };
}

/** The longest of the names above this one that have a row. */
function nearest<T>(name: string, rows: ReadonlyMap<string, T>): [string, T | undefined] {
  for (let end = name.length; end > 0; end = name.lastIndexOf('.', end - 1)) {
    const above = name.slice(0, end);
    for (const key of [above, above.replace(/\[\]$/, '')]) if (rows.has(key)) return [key, rows.get(key)];
  }
  const call = `${name.split(' ')[0] ?? ''} `;
  return [call, rows.get(call)];
}

/** `a{b,c}d{e,f}`: abde, abdf, acde, acdf. Braces do not lie in one another. */
export function alternatives(pattern: string): readonly string[] {
  const match = /^([^{]*)\{([^}]*)\}(.*)$/.exec(pattern);
  if (!match) return [pattern];
  const [, before = '', choices = '', after = ''] = match;
  return choices.split(',').flatMap((choice) => alternatives(after).map((rest) => `${before}${choice}${rest}`));
}
