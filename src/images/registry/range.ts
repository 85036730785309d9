/** What an answer to "give me all from `wanted` on" holds. */
export type Answered =
  | { readonly ok: true; /** Bytes at the start of the body that are there already. */ readonly skip: number }
  | { readonly ok: false; readonly why: string };

export interface RangeAnswer {
  readonly status: number;
  readonly contentRange: string | undefined;
  readonly contentLength: string | undefined;
}

/**
 * Judges an answer to a request for a blob of `size` bytes from the offset `wanted`. A host that ignores the range and
 * starts from the beginning is taken as it is; one that starts later than asked, or has another length, is not.
 */
export function judgeRange(answer: RangeAnswer, wanted: number, size: number): Answered {
  const length = numberOf(answer.contentLength);
  if (answer.status === 200) {
    if (length !== undefined && length > size) return no(`it has ${length} bytes, not ${size}`);
    return { ok: true, skip: wanted };
  }
  const range = parseContentRange(answer.contentRange);
  if (!range) return no('a part whose place it does not say');
  const { first, last, total } = range;
  if (total !== undefined && total !== size) return no(`it has ${total} bytes, not ${size}`);
  if (first > wanted || last < wanted || last >= size) return no(`bytes ${first}-${last} when asked from ${wanted}`);
  if (length !== undefined && length !== last - first + 1) return no(`${length} bytes for ${first}-${last}`);
  return { ok: true, skip: wanted - first };
}

export interface ContentRange {
  readonly first: number;
  readonly last: number;
  /** Undefined for "*". */
  readonly total: number | undefined;
}

/** "bytes 5-9/10"; undefined for anything else. */
export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(header?.trim() ?? '');
  if (!match) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2])];
  const total = match[3] === '*' ? undefined : Number(match[3]);
  return first <= last && (total === undefined || last < total) ? { first, last, total } : undefined;
}

function numberOf(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

function no(why: string): Answered {
  return { ok: false, why };
}
