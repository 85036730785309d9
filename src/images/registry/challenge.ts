/** One way of proving who one is that a server offers: RFC 9110, section 11.6.1. */
export interface Challenge {
  /** Lower case: "basic", "bearer". */
  readonly scheme: string;
  /** Names in lower case; the first of a name counts. */
  readonly parameters: ReadonlyMap<string, string>;
}

const maxHeader = 8192;
const tokenChar = /[!#$%&'*+\-.^_`|~0-9A-Za-z/]/;

/** Reads WWW-Authenticate headers. Never throws: what cannot be read ends the list. */
export function parseChallenges(header: string | readonly string[] | undefined): readonly Challenge[] {
  const texts = header === undefined ? [] : typeof header === 'string' ? [header] : header;
  return texts.flatMap((text) => new Reader(text.slice(0, maxHeader)).challenges());
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  challenges(): Challenge[] {
    const found: Challenge[] = [];
    let parameters: Map<string, string> | undefined;
    for (;;) {
      this.#skip(/[\s,]/);
      const word = this.#token();
      if (word === '') return found;
      this.#skip(/\s/);
      if (this.#text[this.#at] !== '=') {
        parameters = new Map();
        found.push({ scheme: word.toLowerCase(), parameters });
        continue;
      }
      this.#at += 1;
      // A second "=" is the padding of a token68, which no scheme of registries has.
      this.#skip(/[=\s]/);
      const value = this.#text[this.#at] === '"' ? this.#quoted() : this.#value();
      const name = word.toLowerCase();
      if (parameters && !parameters.has(name)) parameters.set(name, value);
    }
  }

  #skip(chars: RegExp): void {
    while (this.#at < this.#text.length && chars.test(this.#text[this.#at] ?? '')) this.#at += 1;
  }

  #token(): string {
    const start = this.#at;
    this.#skip(tokenChar);
    return this.#text.slice(start, this.#at);
  }

  /** More than RFC 9110 allows: URLs without quotes are met in the wild. */
  #value(): string {
    const start = this.#at;
    this.#skip(/[^\s,"]/);
    return this.#text.slice(start, this.#at);
  }

  /** Without the quotes; an end that is missing is the text's end. */
  #quoted(): string {
    let value = '';
    for (this.#at += 1; this.#at < this.#text.length; this.#at += 1) {
      const char = this.#text[this.#at] ?? '';
      if (char === '"') {
        this.#at += 1;
        break;
      }
      if (char === '\\') this.#at += 1;
      value += char === '\\' ? (this.#text[this.#at] ?? '') : char;
    }
    return value;
  }
}
