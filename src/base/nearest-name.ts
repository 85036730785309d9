const farthest = 3;

/** ": did you mean bridge?" for a name that is nearly one of the known ones, else "". */
export function didYouMeanOneOf(unknown: string, names: readonly string[]): string {
  const [nearest] = names
    .map((name) => ({ name, distance: distance(unknown.slice(0, 100), name) }))
    .filter(({ name, distance: steps }) => steps <= allowed(unknown, name))
    .sort((one, other) => one.distance - other.distance);
  return nearest === undefined ? '' : `: did you mean ${nearest.name}?`;
}

/** A third of the letters that could differ, of a key its own name's: of "bogus" nobody meant "log". */
function allowed(unknown: string, name: string): number {
  const group = name.slice(0, name.lastIndexOf('.') + 1);
  const same = unknown.startsWith(group) ? group.length : 0;
  return Math.min(farthest, Math.max(1, Math.floor((Math.max(unknown.length, name.length) - same) / 3)));
}

/** Levenshtein's: letters to insert, remove or change. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let at = 0; at < one.length; at++) {
    const next = [at + 1];
    for (let to = 0; to < other.length; to++) {
      const change = (row[to] ?? 0) + (one[at] === other[to] ? 0 : 1);
      next.push(Math.min(change, (row[to + 1] ?? 0) + 1, (next[to] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
