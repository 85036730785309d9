import type { FieldRow } from './row.ts';

/** How many of the fields that were told of become this. */
export function countOf(told: readonly { readonly row: FieldRow }[], is: FieldRow['is']): number {
  return told.filter(({ row }) => row.is === is).length;
}

/** The last cell of a row's line. */
export function becomes(row: FieldRow): string {
  switch (row.is) {
    case 'done':
      return `${row.what}. Test: *${row.test}*`;
    case 'refused':
      return `**refused**${row.when === undefined ? '' : ` ${row.when}`}: ${row.code}, "${row.says}"`;
    case 'none':
      return `no meaning: ${row.why}`;
  }
}
