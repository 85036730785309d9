/** An object of a JSON text as it is written: every key in its order, those that come twice among them. */
export class JsonPairs {
  readonly pairs: (readonly [key: string, value: unknown])[] = [];
}

/** As deep as Go's encoding/json goes. */
const maxDepth = 10_000;
/** Keys, values and brackets, of which the shortest take fifty times as much memory as text. */
const maxTokens = 250_000;

/** Sound JSON that is more than anybody means. The message goes on from the document's name. */
export class JsonLimit extends Error {}

/** Of a text that is known to be JSON: strings, numbers and words, brackets. */
const token = /"(?:[^"\\]|\\.)*"|[-+.\w]+|[[\]{}]/g;

/** What is between tokens, and what ends a number or a word. */
const between = new Set([' ', '\t', '\r', '\n', ',', ':']);
const brackets = new Set(['[', ']', '{', '}']);
const ends = new Set([...between, ...brackets, '"']);

/**
 * JSON.parse, but for objects, which become JsonPairs: JSON.parse keeps only the last of several equal keys, and what Go
 * makes of them is the readers' to decide.
 *
 * @throws SyntaxError, JsonLimit
 */
export function parseJsonPairs(text: string): unknown {
  // Before anything is made of it: JSON.parse holds up the thread for a second with what nobody means.
  checkLimits(text);
  // Says what is wrong; from here on the text is known to be sound.
  JSON.parse(text);
  const top: unknown[] = [];
  const open: { readonly add: (value: unknown) => void }[] = [{ add: (value) => top.push(value) }];
  for (const [word] of text.matchAll(token)) {
    const here = open.at(-1);
    if (word === '}' || word === ']') {
      open.pop();
      continue;
    }
    if (word === '{') {
      const made = new JsonPairs();
      here?.add(made);
      open.push({ add: intoPairs(made) });
    } else if (word === '[') {
      const made: unknown[] = [];
      here?.add(made);
      open.push({ add: (value) => made.push(value) });
    } else {
      here?.add(leafOf(word));
    }
  }
  return top[0];
}

/**
 * Of any text, also one that is no JSON; of that, up to where it ends. Each character is looked at once, and none behind
 * the limit.
 *
 * @throws JsonLimit
 */
function checkLimits(text: string): void {
  let depth = 0;
  let tokens = 0;
  for (let at = 0; at < text.length;) {
    const character = text.charAt(at);
    if (between.has(character)) {
      at += 1;
      continue;
    }
    tokens += 1;
    if (tokens > maxTokens) throw new JsonLimit(`has more than ${maxTokens} keys, values and brackets`);
    if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    if (depth > maxDepth) throw new JsonLimit(`is nested more than ${maxDepth} deep`);
    at = endOf(text, at);
  }
}

/** Where the token ends that begins there. */
function endOf(text: string, start: number): number {
  const first = text.charAt(start);
  let at = start + 1;
  if (first === '"') {
    while (at < text.length && text.charAt(at) !== '"') at += text.charAt(at) === '\\' ? 2 : 1;
    return at + 1;
  }
  if (brackets.has(first)) return at;
  while (at < text.length && !ends.has(text.charAt(at))) at += 1;
  return at;
}

/** Half of a surrogate pair becomes U+FFFD, as in Go: it could be sent to nobody. */
function leafOf(word: string): unknown {
  const value: unknown = JSON.parse(word);
  return typeof value === 'string' ? value.toWellFormed() : value;
}

/** Strings and values come in turn; the first of two is the key. */
function intoPairs(made: JsonPairs): (value: unknown) => void {
  let key: string | undefined;
  return (value) => {
    if (key === undefined) {
      key = value as string;
      return;
    }
    made.pairs.push([key, value]);
    key = undefined;
  };
}

/** Names that Go takes for the same field. Two letters beyond ASCII fold to letters of it: the long s and the Kelvin sign. */
export function folded(name: string): string {
  return name
    .replaceAll('\u017f', 's')
    .replaceAll('\u212a', 'k')
    .replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
