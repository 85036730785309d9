import { done, noMeaning, type FieldSection } from '../../field-rows/row.ts';
import { notLabelled } from './not-labelled.ts';

const config = 'CreateContainer config';
const context = `${config}.linux.security_context`;
const namespaces = `${context}.namespace_options`;

export const confinementSection: FieldSection = {
  title: 'How a container is confined',
  about: 'Profiles and labels have a page of their own, [profiles.md](profiles.md).',
  rows: {
    [`${context}.capabilities.{add_capabilities,drop_capabilities,add_ambient_capabilities}`]: done(
      'beside the usual ones, without some of them, and those that an execve(2) keeps whoever calls it',
      'capabilities of a container',
    ),
    [`${context}.privileged`]: done('all capabilities and devices, nothing masked', 'a privileged container'),
    [`${namespaces}.pid`]: done(
      "its own pid namespace, the pod's, the node's in a pod that has it, or another container's",
      'the pid namespace of a container',
    ),
    [`${namespaces}.target_id`]: done(
      "whose pid namespace: a running container's of the pod",
      'the pid namespace of a container',
    ),
    [`${namespaces}.{network,ipc}`]: noMeaning("the pod's, whatever is said here: RunPodSandbox has decided it"),
    [`${namespaces}.userns_options.{mode,uids[].host_id,uids[].length,gids[].host_id,gids[].length}`]: done(
      'its users are those of the pod: others are refused',
      "users of a container are its pod's",
    ),
    [`${namespaces}.userns_options.{uids,gids}[].container_id`]: done(
      'refused unless it is 0',
      "users of a container are its pod's",
    ),
    [`${context}.selinux_options.{user,role,type}`]: notLabelled(),
    [`${context}.selinux_options.level`]: notLabelled('s0:c1,c2'),
    [`${config}.mounts[].selinux_relabel`]: noMeaning(
      'no container has a label, see `selinux_options`, so that no volume needs one',
    ),
    [`${context}.{run_as_user.value,run_as_group.value,run_as_username,supplemental_groups,supplemental_groups_policy}`]:
      done(
        "who its first process is; names are the image's, and so are more groups unless the policy is Strict",
        'the user of a container',
      ),
    [`${context}.readonly_rootfs`]: done(
      "the image's files cannot be written",
      'paths of a container that are confined',
    ),
    [`${context}.{masked_paths,readonly_paths}`]: done(
      'in place of the usual ones, which hold where both are empty',
      'paths of a container that are confined',
    ),
    [`${context}.no_new_privs`]: done('no_new_privs of prctl(2)', 'paths of a container that are confined'),
    [`${context}.seccomp.{profile_type,localhost_ref}`]: done(
      'its seccomp profile; without the message there is none',
      'the seccomp profile of a container',
    ),
    [`${context}.seccomp_profile_path`]: done(
      'the same in its old form; the other one counts more',
      'the seccomp profile of a container',
    ),
    [`${context}.apparmor.{profile_type,localhost_ref}`]: done(
      'its AppArmor profile; one that is named is refused where AppArmor is not active. RuntimeDefault is unconfined, for there is no default profile yet, and says so in a warning',
      'the AppArmor profile of a container',
    ),
    [`${context}.apparmor_profile`]: done(
      'the same in its old form; the other one counts more',
      'the AppArmor profile of a container',
    ),
  },
};
