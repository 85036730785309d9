// Every field that the CNI specification has for whoever runs plugins, and what becomes of it here. docs/network.md shows
// these tables; fields.test.ts has a test for each row. What no row names is accepted, handed
// on to the plugin, and counted where it is not the plugin's own (unknown-fields.ts).

/**
 * `done`: Berth acts on it. `handed on`: plugins get it as it was written, and it is theirs. `left out`: it is the
 * runtime's to write, and what was written there is not told to plugins. `refused`: with an error that names it.
 */
export type Fate = 'done' | 'handed on' | 'left out' | 'refused';

export interface FieldRow {
  readonly field: string;
  readonly fate: Fate;
  readonly what: string;
}

const row = (field: string, fate: Fate, what: string): FieldRow => ({ field, fate, what });

/** Of a network configuration: a list, or one plugin that stands for itself. */
export const configurationFields: readonly FieldRow[] = [
  row('cniVersion', 'done', '0.1.0 to 1.1.0; 0.1.0 where there is none'),
  row('cniVersions', 'done', 'the newest one that is known here is spoken'),
  row('name', 'done', 'of the network'),
  row('disableCheck', 'done', '`berth check` does not ask its plugins; also as "true" and "false"'),
  row('disableGC', 'done', 'its plugins are not told to collect garbage; also as "true" and "false"'),
  row('loadOnlyInlinedPlugins', 'done', 'no plugins of `<directory>/<name>/*.conf`; also as "true" and "false"'),
  row('plugins', 'done', 'in their order'),
];

/** Of a plugin in it. */
export const pluginFields: readonly FieldRow[] = [
  row('type', 'done', 'the name of a program in `network.cni_bin_dirs`'),
  row('capabilities', 'done', 'which decides about `runtimeConfig`'),
  row('runtimeConfig', 'done', 'what the plugin declares and the pod has; as it was written, where that is nothing'),
  row('prevResult', 'left out', 'what was before the first plugin is nothing'),
  row('args', 'handed on', 'the runtime has none of its own'),
  row('cni.dev/…', 'left out', 'reserved; `cni.dev/valid-attachments` is told with GC'),
  row('ipam.type', 'handed on', 'a program, or a word the plugin knows: NetworkReady notes it when it is no program'),
  row('ipMasq', 'handed on', "the plugin's"),
  row('dns', 'handed on', "the plugin's"),
];

/** Capabilities that have a convention, and what of the pod they are told. */
export const capabilityFields: readonly FieldRow[] = [
  row('portMappings', 'done', "the pod's ports that have one of the node"),
  row('bandwidth', 'done', 'annotations `kubernetes.io/ingress-bandwidth` and `kubernetes.io/egress-bandwidth`'),
  row('dns', 'done', "the pod's `dns_config`"),
  row('ipRanges', 'done', 'the pod CIDRs that the kubelet gave the node'),
  row('cgroupPath', 'done', "the pod's `cgroup_parent`"),
  row('io.kubernetes.cri.pod-annotations', 'done', 'all of them'),
  row('mac', 'handed on', 'only as `runtimeConfig` was written: the CRI has nothing to say of it'),
  row('ips', 'handed on', 'likewise'),
  row('aliases', 'handed on', 'likewise'),
  row('infinibandGUID', 'handed on', 'likewise'),
  row('deviceID', 'handed on', 'likewise'),
];

/** Of what ADD prints. A later plugin is given all of it as `prevResult`, in the form of the version that it reads. */
export const resultFields: readonly FieldRow[] = [
  row('cniVersion', 'done', 'that of the configuration, where there is none'),
  row('interfaces[].name', 'done', '`eth0` is the one of the pod'),
  row(
    'interfaces[].sandbox',
    'done',
    'an interface without is on the node: the last one before `eth0` is its other end',
  ),
  row('interfaces[].mac, mtu, socketPath, pciID', 'handed on', 'and shown in `cniResult`'),
  row('ips[].address', 'done', "the pod's addresses, in their order"),
  row('ips[].interface', 'done', "only those of `eth0`, and those that name none, are the pod's"),
  row('ips[].version', 'done', 'written for 0.3.0 to 0.4.0, left out from 1.0.0 on'),
  row('ips[].gateway', 'handed on', 'and shown in `cniResult`'),
  row('ip4, ip6', 'done', 'of 0.1.0 and 0.2.0: one address of each family'),
  row('routes', 'handed on', 'and shown in `cniResult`'),
  row('dns', 'handed on', "the pod's resolv.conf is what its config says, or the node's, as in other runtimes"),
  row('code, msg, details', 'done', 'of an error: 11 is asked again, 3 at DEL is nothing to undo'),
];

/** Versions of a result, whichever the configuration has. */
export const resultVersions: readonly FieldRow[] = [
  row(
    'none',
    'done',
    'read as the version of the configuration, or as 0.2.0 where it has `ip4` or `ip6` instead of `ips`',
  ),
  row('0.1.0', 'done', '`ip4` and `ip6`'),
  row('0.2.0', 'done', '`ip4` and `ip6`'),
  row('0.3.0', 'done', 'lists, with the family of each address'),
  row('0.3.1', 'done', 'as 0.3.0'),
  row('0.4.0', 'done', 'as 0.3.0'),
  row('1.0.0', 'done', 'lists, without it'),
  row('1.1.0', 'done', 'as 1.0.0'),
  row('any other', 'refused', 'nobody knows what it would mean'),
];

/** What plugins are not told as it was written. `runtimeConfig` is written over where there is something to tell. */
export const fieldsOfRuntime: ReadonlySet<string> = new Set(['capabilities', 'cniVersions', 'prevResult']);
