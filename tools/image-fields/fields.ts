import type { FieldTree } from '#base/field-tree';
import { imageDocuments, imageFieldTrees, type ImageDocument } from '#images/image-fields';

export { imageDocuments, type ImageDocument };

/** A field of a document of an image that holds a value. */
export interface ImageField {
  readonly document: ImageDocument;
  /** From the document on, `[]` after a list of objects: "layers[].digest". */
  readonly path: string;
}

export const imageFields: readonly ImageField[] = imageDocuments.flatMap((document) =>
  pathsOf(imageFieldTrees[document]).map((path) => ({ document, path })),
);

function pathsOf(tree: FieldTree): readonly string[] {
  return Object.entries(tree).flatMap(([name, inner]) =>
    inner === null ? [name] : pathsOf(inner).map((path) => `${name}.${path}`),
  );
}

/** Names of fields with a dot in them, which is not the one between two names. */
const dotted = ['os.version', 'os.features', 'moby.buildkit.buildinfo.v1', 'moby.buildkit.cache.v0'];

/** "manifests[].platform.os.version": "manifests[]", "platform", "os.version". */
export function partsOf({ path }: ImageField): readonly string[] {
  const last =
    dotted.find((name) => path === name || path.endsWith(`.${name}`)) ?? path.slice(path.lastIndexOf('.') + 1);
  const before = path.slice(0, path.length - last.length).replace(/\.$/, '');
  return before === '' ? [last] : [...before.split('.'), last];
}

type Value = Readonly<Record<string, unknown>>;

/** A copy of a document in which the field has this value (undefined: is not there), in every entry of a list on the way. */
export function withValue(document: Value, field: ImageField, value: unknown): Value {
  return change(document, partsOf(field), value);
}

function change(document: Value, [part = '', ...rest]: readonly string[], value: unknown): Value {
  const name = part.replace(/\[\]$/, '');
  const { [name]: old, ...others } = document;
  if (rest.length === 0) return value === undefined ? others : { ...document, [name]: value };
  // What is not there cannot be taken away.
  if (old === undefined && value === undefined) return document;
  const inner = (one: unknown): Value => change((one ?? {}) as Value, rest, value);
  return {
    ...document,
    [name]: Array.isArray(old) || name !== part ? ((old ?? [{}]) as unknown[]).map(inner) : inner(old),
  };
}
