import { KnownFields, type FieldTree } from '#base/field-tree';
import { folded, JsonPairs } from './json-pairs.ts';

/** The documents that an image is made of. */
export const imageDocuments = ['config', 'manifest', 'index'] as const;
export type ImageDocument = (typeof imageDocuments)[number];

const named = (...names: readonly string[]): FieldTree => Object.fromEntries(names.map((name) => [name, null]));

const platform = named('architecture', 'os', 'os.version', 'os.features', 'variant');
const descriptor: FieldTree = {
  ...named('mediaType', 'digest', 'size', 'urls', 'annotations', 'data', 'artifactType'),
  platform,
};
const common = named('schemaVersion', 'mediaType', 'artifactType', 'annotations');

/**
 * Every field of image-spec 1.1.1 (config.md, manifest.md, image-index.md, descriptor.md), and what docker's schema 2 has
 * besides them (moby's image.Image and container.Config, which builders still write). docs/image-fields.md has what becomes
 * of each.
 */
export const imageFieldTrees: Readonly<Record<ImageDocument, FieldTree>> = {
  config: {
    ...named('created', 'author'),
    ...platform,
    config: {
      ...named('User', 'ExposedPorts', 'Env', 'Entrypoint', 'Cmd', 'Volumes', 'WorkingDir', 'Labels', 'StopSignal'),
      ...named('Memory', 'MemorySwap', 'CpuShares', 'Healthcheck', 'ArgsEscaped', 'OnBuild', 'Shell', 'StopTimeout'),
      ...named(
        'Hostname',
        'Domainname',
        'AttachStdin',
        'AttachStdout',
        'AttachStderr',
        'Tty',
        'OpenStdin',
        'StdinOnce',
      ),
      ...named('Image', 'NetworkDisabled', 'MacAddress'),
    },
    rootfs: named('type', 'diff_ids'),
    'history[]': named('created', 'author', 'created_by', 'comment', 'empty_layer'),
    ...named('id', 'parent', 'comment', 'container', 'container_config', 'docker_version', 'Size', 'throwaway'),
    ...named('moby.buildkit.buildinfo.v1', 'moby.buildkit.cache.v0'),
  },
  manifest: { ...common, config: descriptor, 'layers[]': descriptor, subject: descriptor },
  index: { ...common, 'manifests[]': descriptor, subject: descriptor },
};

/** Names are found whatever the case of their letters, and each of several equal ones counts. */
const reading = { folded, fieldsOf: (value: unknown) => (value instanceof JsonPairs ? value.pairs : undefined) };

export const knownImageFields: Readonly<Record<ImageDocument, KnownFields>> = {
  config: new KnownFields(imageFieldTrees.config, reading),
  manifest: new KnownFields(imageFieldTrees.manifest, reading),
  index: new KnownFields(imageFieldTrees.index, reading),
};

/** Of an entry of the manifest.json that `docker save` writes. */
export const knownArchiveFields = new KnownFields(
  named('Config', 'RepoTags', 'Layers', 'Parent', 'LayerSources'),
  reading,
);

/** How many fields of an image's documents nobody here knows. */
export type UnknownImageFields = Readonly<Record<ImageDocument, number>>;
