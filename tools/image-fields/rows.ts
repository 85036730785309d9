import { done, noMeaning, refused, tellImages, type ImageRows } from './row.ts';

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
export const imageRows: ImageRows = {
  config: {
    'created author history[].created history[].author history[].created_by history[].comment history[].empty_layer':
      builders,
    'id parent comment container container_config docker_version Size throwaway moby.buildkit.buildinfo.v1 moby.buildkit.cache.v0':
      builders,
    'architecture variant os.features': done(
      'whether the image is for this machine, where its index does not say',
      unnamed,
    ),
    os: refused('another system than linux', 'windows', 'is for "windows", not linux'),
    'os.version': version,
    'config.User': done('who its processes are, where the pod does not say', runs),
    'config.Env': done('variables; the pod’s come after them', runs),
    'config.Entrypoint config.Cmd': done('what is executed, where the pod has no command or arguments', runs),
    'config.Volumes': done('directories with a copy of what the image has there, where the pod mounts nothing', runs),
    'config.WorkingDir': done('where its processes begin; relative to the root', runs),
    'config.StopSignal': done(
      'sent at a stop, where the pod names none; one that is none is passed over with a warning',
      runs,
    ),
    'config.Labels': done('kept with the image; a verbose ImageStatus shows them', runs),
    'config.ExposedPorts': shown,
    'config.Memory config.MemorySwap config.CpuShares': noMeaning('removed from the specification; the pod has limits'),
    'config.Healthcheck': noMeaning('of docker: a kubelet has probes'),
    'config.ArgsEscaped': noMeaning('of Windows'),
    'config.OnBuild config.Shell': noMeaning('for builds on top of the image'),
    'config.StopTimeout': noMeaning('a pod has terminationGracePeriodSeconds'),
    'config.Hostname config.Domainname config.AttachStdin config.AttachStdout config.AttachStderr config.Tty': docker,
    'config.OpenStdin config.StdinOnce config.Image config.NetworkDisabled config.MacAddress': docker,
    'rootfs.type': refused('anything but layers', 'squashfs', 'has a rootfs of type "squashfs"'),
    'rootfs.diff_ids': done('each layer must unpack to these bytes: sha256, sha384 or sha512', layers),
  },
  manifest: {
    schemaVersion: refused('version 1', 1, 'docker schema 1'),
    mediaType: refused('what is no image', 'application/x-mine', 'which is no image'),
    artifactType: noMeaning('an image is one by its config and layers; it names what is refused as an artifact'),
    annotations: free,
    'config.mediaType': done(
      'an image without layers is one by this; with layers the config itself shows it',
      'an image without layers',
    ),
    'config.digest config.size': done('what is fetched and compared, at most 4 MiB', layers),
    'layers[].mediaType': done(
      'what is no layer, or encrypted, is refused; the first bytes tell how it is packed',
      layers,
    ),
    'layers[].digest layers[].size': done('what is fetched and compared', layers),
    'layers[].urls': done(
      'not followed; what is said of a layer that the registry lacks tells of them',
      'a layer with urls',
    ),
    'config.urls config.data layers[].data': bytesByDigest,
    'config.annotations layers[].annotations config.artifactType layers[].artifactType': free,
    'config.platform.architecture config.platform.os config.platform.os.version config.platform.os.features':
      platformOfPart,
    'layers[].platform.architecture layers[].platform.os layers[].platform.os.version': platformOfPart,
    'config.platform.variant layers[].platform.os.features layers[].platform.variant': platformOfPart,
    'subject.mediaType subject.digest subject.size subject.urls subject.annotations subject.data': beside,
    'subject.artifactType subject.platform.architecture subject.platform.os subject.platform.os.version': beside,
    'subject.platform.os.features subject.platform.variant': beside,
  },
  index: {
    schemaVersion: refused('version 1', 1, 'docker schema 1'),
    mediaType: refused('what is no index', 'application/x-mine', 'which is no image'),
    'artifactType annotations': free,
    'manifests[].mediaType': done('what is neither manifest nor index is passed over', choice),
    'manifests[].digest manifests[].size': done('what is fetched and compared', choice),
    'manifests[].platform.os manifests[].platform.architecture manifests[].platform.variant': done(
      'the best that the processors can do is taken, never one above',
      choice,
    ),
    'manifests[].platform.os.features': done('an image that needs one is for another system', choice),
    'manifests[].platform.os.version': version,
    'manifests[].urls manifests[].data': bytesByDigest,
    'manifests[].annotations manifests[].artifactType': free,
    'subject.mediaType subject.digest subject.size subject.urls subject.annotations subject.data': beside,
    'subject.artifactType subject.platform.architecture subject.platform.os subject.platform.os.version': beside,
    'subject.platform.os.features subject.platform.variant': beside,
  },
};

export const imageTelling = tellImages(imageRows);
