import type { ContainerConfig__Output } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { LinuxContainerSecurityContext__Output } from '#cri-api/gen/runtime/v1/LinuxContainerSecurityContext';
import type { NamespaceOption__Output } from '#cri-api/gen/runtime/v1/NamespaceOption';
import type { PodSandboxConfig__Output } from '#cri-api/gen/runtime/v1/PodSandboxConfig';

/** Configs as the CRI decoder gives them: every field present with its default. For tests that change one thing. */
export function podConfig(changes: Partial<PodSandboxConfig__Output> = {}): PodSandboxConfig__Output {
  return {
    metadata: { name: 'web', uid: 'uid-1', namespace: 'default', attempt: 0 },
    hostname: '',
    log_directory: '/var/log/pods/web',
    dns_config: null,
    port_mappings: [],
    labels: {},
    annotations: {},
    linux: null,
    windows: null,
    ...changes,
  };
}

export function namespaceOption(changes: Partial<NamespaceOption__Output> = {}): NamespaceOption__Output {
  return { network: 'POD', pid: 'POD', ipc: 'POD', target_id: '', userns_options: null, ...changes };
}

export function podWith(
  namespaces: Partial<NamespaceOption__Output>,
  more: { sysctls?: Record<string, string>; cgroupParent?: string; privileged?: boolean } = {},
): PodSandboxConfig__Output {
  return podConfig({
    linux: {
      cgroup_parent: more.cgroupParent ?? '',
      security_context: {
        namespace_options: namespaceOption(namespaces),
        selinux_options: null,
        run_as_user: null,
        readonly_rootfs: false,
        supplemental_groups: [],
        privileged: more.privileged ?? false,
        seccomp_profile_path: '',
        run_as_group: null,
        seccomp: null,
        apparmor: null,
        supplemental_groups_policy: 'Merge',
      },
      sysctls: more.sysctls ?? {},
      overhead: null,
      resources: null,
    },
  });
}

export function securityContext(
  changes: Partial<LinuxContainerSecurityContext__Output> = {},
): LinuxContainerSecurityContext__Output {
  return {
    capabilities: null,
    privileged: false,
    namespace_options: null,
    selinux_options: null,
    run_as_user: null,
    run_as_username: '',
    readonly_rootfs: false,
    supplemental_groups: [],
    apparmor_profile: '',
    seccomp_profile_path: '',
    no_new_privs: false,
    run_as_group: null,
    masked_paths: [],
    readonly_paths: [],
    seccomp: null,
    apparmor: null,
    supplemental_groups_policy: 'Merge',
    ...changes,
  };
}

export function containerConfig(changes: Partial<ContainerConfig__Output> = {}): ContainerConfig__Output {
  return {
    metadata: { name: 'app', attempt: 0 },
    image: {
      image: 'localhost/busybox:latest',
      annotations: {},
      user_specified_image: '',
      runtime_handler: '',
      image_ref: '',
    },
    command: [],
    args: [],
    working_dir: '',
    envs: [],
    mounts: [],
    devices: [],
    labels: {},
    annotations: {},
    log_path: 'app/0.log',
    stdin: false,
    stdin_once: false,
    tty: false,
    linux: null,
    windows: null,
    CDI_devices: [],
    stop_signal: 'SIGNAL_RUNTIME_DEFAULT',
    ...changes,
  };
}
