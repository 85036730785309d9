import { done, noMeaning, refused, type FieldSection } from '../../field-rows/row.ts';

const create = 'CreateContainer';
const config = `${create} config`;

export const containerSection: FieldSection = {
  title: 'Containers',
  about: 'How a container is confined has a section of its own below.',
  rows: {
    [`${create} pod_sandbox_id`]: done('in which pod, by its id or the beginning of it', 'what a container is called'),
    [`${create} sandbox_config.**`]: noMeaning(
      "a copy of what RunPodSandbox said, from where Berth has the pod's config",
    ),
    [`${config}.metadata.{name,attempt}`]: done(
      'together the name of the container in its pod; told back',
      'what a container is called',
    ),
    [`${config}.{labels,annotations}`]: done(
      'told back; lists select by labels, annotations are in the OCI spec that is shown. No annotation changes what Berth does',
      'what a container is called',
    ),
    [`${config}.image.image`]: done('the image it is made of', 'the image of a container'),
    [`${config}.image.runtime_handler`]: done('one that is not there is refused', 'the image of a container'),
    [`${config}.image.{annotations,user_specified_image}`]: done(
      'told back by lists, and in `info`',
      'the image of a container',
    ),
    [`${config}.image.image_ref`]: noMeaning('a word for answers: the digest of a volume that is an image'),
    [`${config}.{command,args,working_dir}`]: done(
      "what is executed, and where; without a command the image's",
      'the process of a container',
    ),
    [`${config}.envs[].{key,value}`]: done(
      'variables beside those of the image; a value is bytes',
      'the process of a container',
    ),
    [`${config}.{stdin,stdin_once,tty}`]: done(
      'whether it has an input, whether that ends with the first client, whether it has a terminal',
      'streams of a container',
    ),
    [`${config}.log_path`]: done(
      "its log, below the pod's `log_directory`; without either there is none",
      'where the log of a container is',
    ),
    [`${config}.stop_signal`]: done(
      "what StopContainer sends first; without it the image's, or SIGTERM",
      'the stop signal of a container',
    ),
    [`${config}.mounts[].{container_path,host_path,readonly,propagation,recursive_read_only,mount_options}`]: done(
      'a volume of the node: where, read-only or not and how deeply, whose later mounts it sees, and `noexec`, `nodev`, `nosuid`',
      'volumes of a container',
    ),
    [`${config}.mounts[].{uidMappings,gidMappings}[].{host_id,length}`]: done(
      "its files belong to the pod's users; others than the pod's are refused",
      'volumes of a container with users of its own',
    ),
    [`${config}.mounts[].{uidMappings,gidMappings}[].container_id`]: done(
      'refused unless it is 0',
      'volumes of a container with users of its own',
    ),
    [`${config}.mounts[].image.image`]: refused('UNIMPLEMENTED', 'image volumes are not supported yet'),
    [`${config}.mounts[].image.{annotations,user_specified_image,runtime_handler,image_ref}`]: noMeaning(
      'belongs to `image.image`, with which the request is refused',
    ),
    [`${config}.mounts[].image_sub_path`]: noMeaning('belongs to `image.image`, with which the request is refused'),
    [`${config}.devices[].{container_path,host_path,permissions}`]: done(
      'a device of the node, or all below a directory of /dev, and what may be done with it',
      'devices of a container',
    ),
    [`${config}.CDI_devices[].name`]: refused('UNIMPLEMENTED', 'CDI devices are not supported yet'),
    [`${config}.linux.resources.**`]: done(
      'limits of its control group; 0 and "" are not set, `unified` are files of cgroup v2 by name',
      'limits of a container',
    ),
    [`${config}.linux.resources.oom_score_adj`]: done(
      'of its processes, from -1000 to 1000, as far as berthd may: without CAP_SYS_RESOURCE one below its own is not set, with a warning in log and status',
      'limits of a container',
    ),
    [`${config}.windows.**`]: noMeaning('of containers on Windows'),

    '{StartContainer,StopContainer,RemoveContainer,ContainerStatus,ContainerStats,UpdateContainerResources,ReopenContainerLog} container_id':
      done('which container, by its id or the beginning of it', 'which container is meant'),
    'StopContainer timeout': done('seconds until it is killed; 0 or less: at once', 'the time a container has to stop'),
    'ContainerStatus verbose': done('also `info`, as `crictl inspect` shows it', 'verbose answers'),
    'UpdateContainerResources linux.**': done(
      'limits from now on; 0 and "" change nothing. All or none',
      'limits of a container from now on',
    ),
    'UpdateContainerResources linux.oom_score_adj': noMeaning(
      'Linux keeps it with each process, not with the group: those that run keep theirs, as with other runtimes',
    ),
    'UpdateContainerResources windows.**': noMeaning('of containers on Windows'),
    'UpdateContainerResources annotations': noMeaning('for resources beyond those of CRI, of which Berth has none'),
    '{ListContainers,StreamContainers} filter.{id,state.state,pod_sandbox_id,label_selector}': done(
      'conditions that all must hold; ids may be cut, a state that nobody knows is none that a container is in',
      'filters of containers',
    ),
    '{ListContainerStats,StreamContainerStats} filter.{id,pod_sandbox_id,label_selector}': done(
      'conditions that all must hold; containers that do not run use nothing',
      'filters of containers',
    ),
  },
};
