/** The documents that an image is made of. */
export const imageDocuments = ['config', 'manifest', 'index'] as const;
export type ImageDocument = (typeof imageDocuments)[number];

/** A field of a document of an image that holds a value. */
export interface ImageField {
  readonly document: ImageDocument;
  /** From the document on, `[]` after a list of objects: "layers[].digest". */
  readonly path: string;
}

const platform = ['architecture', 'os', 'os.version', 'os.features', 'variant'];
const descriptor = ['mediaType', 'digest', 'size', 'urls', 'annotations', 'data', 'artifactType'];
const descriptorWithPlatform = [...descriptor, ...platform.map((field) => `platform.${field}`)];
const below = (name: string, fields: readonly string[]): readonly string[] => fields.map((field) => `${name}.${field}`);

/**
 * Every field of image-spec 1.1.1 (config.md, manifest.md, image-index.md, descriptor.md), and what docker's schema 2 has
 * besides them (moby's image.Image and container.Config, which builders still write).
 */
const specification: Readonly<Record<ImageDocument, readonly string[]>> = {
  config: [
    ...['created', 'author', ...platform],
    ...below('config', [
      ...['User', 'ExposedPorts', 'Env', 'Entrypoint', 'Cmd', 'Volumes', 'WorkingDir', 'Labels', 'StopSignal'],
      ...['Memory', 'MemorySwap', 'CpuShares', 'Healthcheck', 'ArgsEscaped', 'OnBuild', 'Shell', 'StopTimeout'],
      ...['Hostname', 'Domainname', 'AttachStdin', 'AttachStdout', 'AttachStderr', 'Tty', 'OpenStdin', 'StdinOnce'],
      ...['Image', 'NetworkDisabled', 'MacAddress'],
    ]),
    ...['rootfs.type', 'rootfs.diff_ids'],
    ...below('history[]', ['created', 'author', 'created_by', 'comment', 'empty_layer']),
    ...['id', 'parent', 'comment', 'container', 'container_config', 'docker_version', 'Size', 'throwaway'],
    ...['moby.buildkit.buildinfo.v1', 'moby.buildkit.cache.v0'],
  ],
  manifest: [
    ...['schemaVersion', 'mediaType', 'artifactType', 'annotations'],
    ...below('config', descriptorWithPlatform),
    ...below('layers[]', descriptorWithPlatform),
    ...below('subject', descriptorWithPlatform),
  ],
  index: [
    ...['schemaVersion', 'mediaType', 'artifactType', 'annotations'],
    ...below('manifests[]', descriptorWithPlatform),
    ...below('subject', descriptorWithPlatform),
  ],
};

export const imageFields: readonly ImageField[] = imageDocuments.flatMap((document) =>
  specification[document].map((path) => ({ document, path })),
);

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
