import { done, noMeaning, refused, tell, type FieldSection, type Told } from '../field-rows/row.ts';
import { imageFields, type ImageField } from './fields.ts';

const runs = 'what a container of the image is';
const layers = 'the layers of an image';
const choice = 'which image of an index is taken';
const unnamed = 'an image whose entry names no platform';

const builders = noMeaning('of the builder: how the image came about');
const shown = noMeaning('for people: a verbose ImageStatus shows the whole config');
const docker = noMeaning('of a container that docker runs; in Kubernetes the pod says it');
const beside = noMeaning('what else there is in the registry; nothing is fetched for it');
const bytesByDigest = noMeaning('the bytes are fetched, or known, by their digest like all others');
const platformOfPart = noMeaning('a part of an image has no platform of its own');
const version = noMeaning('of Windows: on Linux it says nothing');
const free = noMeaning('free text; only those of an image layout name its images (`berth load`)');

/** What becomes of every field of an image's documents. */
export const imageTable: readonly FieldSection[] = [
  {
    title: 'Config',
    about: '',
    rows: {
      'config {created,author,history[].created,history[].author,history[].created_by,history[].comment,history[].empty_layer}':
        builders,
      'config {id,parent,comment,container,container_config,docker_version,Size,throwaway,moby.buildkit.buildinfo.v1,moby.buildkit.cache.v0}':
        builders,
      'config {architecture,variant,os.features}': done(
        'whether the image is for this machine, where its index does not say',
        unnamed,
      ),
      'config os': refused('IMAGE_INVALID', 'is for "windows", not linux', {
        when: 'for another system than linux',
        value: 'windows',
      }),
      'config os.version': version,
      'config config.User': done('who its processes are, where the pod does not say', runs),
      'config config.Env': done('variables; the pod’s come after them', runs),
      'config {config.Entrypoint,config.Cmd}': done(
        'what is executed, where the pod has no command or arguments',
        runs,
      ),
      'config config.Volumes': done(
        'directories with a copy of what the image has there, where the pod mounts nothing',
        runs,
      ),
      'config config.WorkingDir': done('where its processes begin; relative to the root', runs),
      'config config.StopSignal': done(
        'sent at a stop, where the pod names none; one that is none is passed over with a warning',
        runs,
      ),
      'config config.Labels': done('kept with the image; a verbose ImageStatus shows them', runs),
      'config config.ExposedPorts': shown,
      'config {config.Memory,config.MemorySwap,config.CpuShares}': noMeaning(
        'removed from the specification; the pod has limits',
      ),
      'config config.Healthcheck': noMeaning('of docker: a kubelet has probes'),
      'config config.ArgsEscaped': noMeaning('of Windows'),
      'config {config.OnBuild,config.Shell}': noMeaning('for builds on top of the image'),
      'config config.StopTimeout': noMeaning('a pod has terminationGracePeriodSeconds'),
      'config {config.Hostname,config.Domainname,config.AttachStdin,config.AttachStdout,config.AttachStderr,config.Tty}':
        docker,
      'config {config.OpenStdin,config.StdinOnce,config.Image,config.NetworkDisabled,config.MacAddress}': docker,
      'config rootfs.type': refused('IMAGE_INVALID', 'has a rootfs of type "squashfs"', {
        when: 'for anything but layers',
        value: 'squashfs',
      }),
      'config rootfs.diff_ids': done('each layer must unpack to these bytes: sha256, sha384 or sha512', layers),
    },
  },
  {
    title: 'Manifest',
    about: '',
    rows: {
      'manifest schemaVersion': refused('IMAGE_INVALID', 'docker schema 1', { when: 'for version 1', value: 1 }),
      'manifest mediaType': refused('IMAGE_INVALID', 'which is no image', {
        when: 'for what is no image',
        value: 'application/x-mine',
      }),
      'manifest artifactType': noMeaning(
        'an image is one by its config and layers; it names what is refused as an artifact',
      ),
      'manifest annotations': free,
      'manifest config.mediaType': done(
        'an image without layers is one by this; with layers the config itself shows it',
        'an image without layers',
      ),
      'manifest {config.digest,config.size}': done('what is fetched and compared, at most 4 MiB', layers),
      'manifest layers[].mediaType': done(
        'what is no layer, or encrypted, is refused; the first bytes tell how it is packed',
        layers,
      ),
      'manifest {layers[].digest,layers[].size}': done('what is fetched and compared', layers),
      'manifest layers[].urls': done(
        'not followed; what is said of a layer that the registry lacks tells of them',
        'a layer with urls',
      ),
      'manifest {config.urls,config.data,layers[].data}': bytesByDigest,
      'manifest {config.annotations,layers[].annotations,config.artifactType,layers[].artifactType}': free,
      'manifest {config,layers[]}.platform.**': platformOfPart,
      'manifest subject.**': beside,
    },
  },
  {
    title: 'Index',
    about: '',
    rows: {
      'index schemaVersion': refused('IMAGE_INVALID', 'docker schema 1', { when: 'for version 1', value: 1 }),
      'index mediaType': refused('IMAGE_INVALID', 'which is no image', {
        when: 'for what is no index',
        value: 'application/x-mine',
      }),
      'index {artifactType,annotations}': free,
      'index manifests[].mediaType': done('what is neither manifest nor index is passed over', choice),
      'index {manifests[].digest,manifests[].size}': done('what is fetched and compared', choice),
      'index {manifests[].platform.os,manifests[].platform.architecture,manifests[].platform.variant}': done(
        'the best that the processors can do is taken, never one above',
        choice,
      ),
      'index manifests[].platform.os.features': done('an image that needs one is for another system', choice),
      'index manifests[].platform.os.version': version,
      'index {manifests[].urls,manifests[].data}': bytesByDigest,
      'index {manifests[].annotations,manifests[].artifactType}': free,
      'index subject.**': beside,
    },
  },
];

export const nameOf = ({ document, path }: ImageField): string => `${document} ${path}`;

export const imageTelling = tell(imageFields, imageTable, nameOf);

export type ToldImageField = Told<ImageField>;
