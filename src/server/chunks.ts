/** The longest list one message of a stream carries; a message with thousands would block everything else. */
const chunkSize = 256;
/** Clients take messages of 4 MiB or 16 MiB; what one entry may have of labels and annotations comes on top of it. */
const chunkBytes = 1024 * 1024;
/** Of a field beside its text. */
const fieldBytes = 16;

/** Cuts a list into messages of a stream. An empty list gives no message. */
export function* chunks<Item, Entry, Message>(
  items: readonly Item[],
  toEntry: (item: Item) => Entry,
  toMessage: (entries: Entry[]) => Message,
): Generator<Message> {
  let entries: Entry[] = [];
  let bytes = 0;
  for (const item of items) {
    const entry = toEntry(item);
    const more = bytesOf(entry);
    if (entries.length === chunkSize || (entries.length > 0 && bytes + more > chunkBytes)) {
      yield toMessage(entries);
      entries = [];
      bytes = 0;
    }
    entries.push(entry);
    bytes += more;
  }
  if (entries.length > 0) yield toMessage(entries);
}

/** What it takes in a message, about: texts are what can be long. */
function bytesOf(value: unknown): number {
  if (typeof value === 'string') return fieldBytes + Buffer.byteLength(value);
  if (value instanceof Uint8Array) return fieldBytes + value.length;
  if (typeof value !== 'object' || value === null) return fieldBytes;
  return Object.entries(value).reduce((sum, [name, field]) => sum + name.length + bytesOf(field), fieldBytes);
}
