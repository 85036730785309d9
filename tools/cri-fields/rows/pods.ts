import { done, noMeaning, type FieldSection } from '../../field-rows/row.ts';
import { notLabelled } from './not-labelled.ts';

const run = 'RunPodSandbox';
const config = `${run} config`;
const context = `${config}.linux.security_context`;
const namespaces = `${context}.namespace_options`;

const pause =
  "of the process that holds the pod's namespaces. Berth's is a part of the shim without rights, files or images; containers have configs of their own";

export const podSection: FieldSection = {
  title: 'Pods',
  about: 'The config is what the pod is, to its end: a later RunPodSandbox of the same name must say the same.',
  rows: {
    [`${config}.metadata.{name,uid,namespace,attempt}`]: done(
      'together the name of the pod, of which there is one at a time; told back, and all but `attempt` given to CNI plugins',
      'what a pod is called',
    ),
    [`${config}.{labels,annotations}`]: done(
      'told back; lists select by labels, annotations are given to CNI plugins. Beside the two for bandwidth ([network.md](network.md)) none changes what Berth does',
      'what a pod is called',
    ),
    [`${run} runtime_handler`]: done(
      'told back; one that is not there is refused, and "" is the default one',
      'what a pod is called',
    ),
    [`${config}.hostname`]: done(
      "the pod's host name, also in its /etc/hostname; without it the pod's name. On the node's network it is the node's",
      'the host name of a pod',
    ),
    [`${config}.log_directory`]: done('where `log_path` of its containers begins', 'where the log of a container is'),
    [`${config}.dns_config.{servers,searches,options}`]: done(
      "lines of /etc/resolv.conf; with none of the three it is the node's",
      'resolv.conf of a pod',
    ),
    [`${config}.port_mappings[].{protocol,container_port,host_port,host_ip}`]: done(
      "a port of the node that leads to the pod's; host_port 0 is none, and on the node's network there are none",
      'host ports of a pod',
    ),
    [`${config}.linux.cgroup_parent`]: done(
      "below which control group its containers are; without it below Berth's own",
      'the control group of a container',
    ),
    [`${namespaces}.{network,pid,ipc}`]: done(
      "the pod's own, the node's, or (pid) one for each container",
      'namespaces of a pod',
    ),
    [`${namespaces}.target_id`]: noMeaning('a word for containers; a pod whose pid mode is TARGET is refused'),
    [`${namespaces}.userns_options.{mode,uids[].host_id,uids[].length,gids[].host_id,gids[].length}`]: done(
      'users of its own, in one range of ids that begins with root (KEP-127)',
      'users of a pod',
    ),
    [`${namespaces}.userns_options.{uids,gids}[].container_id`]: done('refused unless it is 0', 'users of a pod'),
    [`${context}.selinux_options.{user,role,type}`]: notLabelled(),
    [`${context}.selinux_options.level`]: notLabelled('s0:c1,c2'),
    [`${context}.privileged`]: done('privileged containers are refused in a pod without it', 'a privileged container'),
    [`${context}.{run_as_user,run_as_group,seccomp,apparmor}.**`]: noMeaning(pause),
    [`${context}.{readonly_rootfs,supplemental_groups,supplemental_groups_policy,seccomp_profile_path}`]:
      noMeaning(pause),
    [`${config}.linux.sysctls`]: done(
      "kernel settings in the pod's own namespaces; others are refused",
      'sysctls of a pod',
    ),
    [`${config}.linux.{overhead,resources}.**`]: done(
      "kept, and shown by a verbose PodSandboxStatus; the pod's control group is the kubelet's to limit",
      'what a pod may use',
    ),
    [`${config}.windows.**`]: noMeaning('of pods on Windows'),

    '{StopPodSandbox,RemovePodSandbox,PodSandboxStatus,PodSandboxStats,UpdatePodSandboxResources} pod_sandbox_id': done(
      'which pod, by its id or the beginning of it',
      'which pod is meant',
    ),
    'PodSandboxStatus verbose': done('also `info`, as `crictl inspectp` shows it', 'verbose answers'),
    'UpdatePodSandboxResources {overhead,resources}.**': done(
      'in place of what RunPodSandbox said of the pod, and told the same way',
      'what a pod may use now',
    ),
    '{ListPodSandbox,StreamPodSandboxes} filter.{id,state.state,label_selector}': done(
      'conditions that all must hold; an id may be cut, a state that nobody knows is none that a pod is in',
      'filters of pods',
    ),
    '{ListPodSandboxStats,StreamPodSandboxStats} filter.{id,label_selector}': done(
      'conditions that all must hold; pods that are not ready use nothing',
      'filters of pods',
    ),
  },
};
