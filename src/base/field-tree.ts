/** The fields that documents of a kind may have, by name; `[]` follows that of a list. null: what it holds has no names of ours. */
export interface FieldTree {
  readonly [name: string]: FieldTree | null;
}

/** What is left of a name's spelling where it is looked up, and what an object has in it: every field, equal ones too. */
export interface FieldReading {
  readonly folded: (name: string) => string;
  /** Undefined for what is no object. */
  readonly fieldsOf: (value: unknown) => Iterable<readonly [string, unknown]> | undefined;
}

/** Names as they are written, and values as JSON.parse makes them. */
const plainJson: FieldReading = {
  folded: (name) => name,
  fieldsOf: (value) => (typeof value === 'object' && value !== null ? Object.entries(value) : undefined),
};

/** The fields of a kind of document, to tell those that nobody here knows. */
export class KnownFields {
  readonly #below: ReadonlyMap<string, KnownFields | undefined>;
  readonly #reading: FieldReading;

  constructor(tree: FieldTree, reading: FieldReading = plainJson) {
    this.#reading = reading;
    this.#below = new Map(
      Object.entries(tree).map(([name, inner]) => [
        reading.folded(name.replace(/\[\]$/, '')),
        inner === null ? undefined : new KnownFields(inner, reading),
      ]),
    );
  }

  /**
   * How many fields are not known, at any depth: of a document, or of all in a list. One counts once, whatever it holds; what
   * is no object where one belongs has none.
   */
  countUnknown(document: unknown): number {
    if (!Array.isArray(document)) return this.#countIn(document);
    let unknown = 0;
    for (const entry of document) unknown += this.#countIn(entry);
    return unknown;
  }

  #countIn(value: unknown): number {
    if (Array.isArray(value)) return 0;
    let unknown = 0;
    for (const [name, inner] of this.#reading.fieldsOf(value) ?? []) {
      const key = this.#reading.folded(name);
      if (this.#below.has(key)) unknown += this.#below.get(key)?.countUnknown(inner) ?? 0;
      else unknown += 1;
    }
    return unknown;
  }
}
