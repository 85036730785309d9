import { BerthError } from '#base/errors';
import type { ConfigFile } from './schema.ts';
import { refuseSharedPlaces } from './state-paths.ts';
import { durationMs, splitAddress, type HostPort } from './values.ts';

/** What main.ts hands out, one slice to each module: nobody but main sees the whole. */
export interface Config {
  readonly paths: StatePaths;
  /** Of the state disk, taken in advance. 0: none. */
  readonly reserveBytes: number;
  readonly metrics: MetricsConfig;
  readonly cri: CriConfig;
  readonly streaming: StreamingConfig;
  readonly network: NetworkConfig;
  readonly cni: CniConfig;
  readonly cgroup: CgroupConfig;
  readonly log: LogConfig;
  readonly rlimits: RlimitsConfig;
  readonly timeouts: Timeouts;
  readonly stats: StatsConfig;
  readonly images: ImagesConfig;
  readonly registries: RegistryConfig;
}

export interface StatePaths {
  /** Survives a reboot. */
  readonly root: string;
  /** Cleared by a reboot. */
  readonly run: string;
  readonly socket: string;
  readonly adminSocket: string;
}

export interface MetricsConfig {
  /** Undefined: off. */
  readonly address: HostPort | undefined;
}

export interface CriConfig {
  /** Served at a time. */
  readonly maxConnections: number;
  /** Of a connection without a call. */
  readonly idleTimeoutMs: number;
}

export interface StreamingConfig {
  /** Undefined: off. */
  readonly address: HostPort | undefined;
  /** Undefined: plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly tokenTtlMs: number;
  readonly handshakeTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxConnections: number;
}

export interface NetworkConfig {
  readonly mode: 'builtin' | 'cni';
  readonly bridge: string;
  /** CIDR, or "" for none. */
  readonly ipv4Subnet: string;
  readonly ipv6Subnet: string;
  readonly nftTable: string;
  readonly masquerade: boolean;
  readonly poolSize: number;
  /** 0: that of the default route. */
  readonly mtu: number;
}

/** Where CNI plugins and what belongs to them are. */
export interface CniConfig {
  readonly confDir: string;
  readonly binDirs: readonly string[];
  readonly netnsDir: string;
  /** For one call of one plugin. */
  readonly timeoutMs: number;
}

export interface CgroupConfig {
  readonly driver: 'cgroupfs' | 'systemd';
  readonly defaultParent: string;
  readonly shimParent: string;
}

export interface LogConfig {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
}

/** "soft:hard" or one for both, in words of `splitLimit`. */
export interface RlimitsConfig {
  readonly core: string;
  readonly memlock: string;
  readonly msgqueue: string;
  readonly nofile: string;
  readonly nproc: string;
  readonly stack: string;
}

export interface Timeouts {
  readonly runPodMs: number;
  readonly createContainerMs: number;
  readonly startContainerMs: number;
  readonly removeMs: number;
  readonly killMs: number;
  readonly volumeMs: number;
  readonly shutdownMs: number;
}

export interface StatsConfig {
  readonly intervalMs: number;
}

export interface ImagesConfig {
  readonly loadTimeoutMs: number;
  readonly parallelPulls: number;
  /** Of files of one layer. */
  readonly maxLayerBytes: number;
  /** Names or patterns with `*`. */
  readonly pinned: readonly string[];
}

/** How registries are reached. */
export interface RegistryConfig {
  /** containerd's layout: `<directory>/<host[:port]>/hosts.toml`, `_default/hosts.toml`. Searched in order. */
  readonly hostsDirectories: readonly string[];
  /** registries.conf(5) version 2, with `<file>.d/*.conf`, and certs.d beside it. "" or missing: none. */
  readonly registriesConf: string;
  /** Files like ~/.docker/config.json or containers-auth.json(5), tried when the call brings no credentials. */
  readonly authFiles: readonly string[];
  /** Hosts ("host[:port]") spoken to in plain HTTP besides those that the files above say. Loopback names always may. */
  readonly plainHttp: readonly string[];
  /** Below this many bytes a second over `stallMs` a download is broken off and resumed. */
  readonly minimumBytesPerSecond: number;
  readonly stallMs: number;
  /** Attempts without progress for one document or blob, over all mirrors, before the pull fails. */
  readonly attempts: number;
}

const socketPathLimit = 107;

export function toConfig(file: ConfigFile): Config {
  const { network, cgroup, timeouts, stats, images, registries } = file;
  refuseUnbuilt('cgroup.driver', cgroup.driver, 'systemd');
  refuseSharedPlaces(file);
  if (network.cni_bin_dirs.length === 0) throw new BerthError('CONFIG_INVALID', 'network.cni_bin_dirs is empty');
  if (network.ipv4_subnet === '' && network.ipv6_subnet === '') {
    throw new BerthError('CONFIG_INVALID', 'network.ipv4_subnet and network.ipv6_subnet are both empty: set one');
  }
  return {
    paths: toPaths(file),
    reserveBytes: file.reserve_mib * 1024 * 1024,
    metrics: { address: splitAddress(file.metrics.address) },
    cri: { maxConnections: file.cri.max_connections, idleTimeoutMs: toMs(file.cri.idle_timeout) },
    streaming: toStreaming(file.streaming),
    network: {
      mode: network.mode,
      bridge: network.bridge,
      ipv4Subnet: network.ipv4_subnet,
      ipv6Subnet: network.ipv6_subnet,
      nftTable: network.nft_table,
      masquerade: network.masquerade,
      poolSize: network.pool_size,
      mtu: network.mtu,
    },
    cni: {
      confDir: network.cni_conf_dir,
      binDirs: network.cni_bin_dirs,
      netnsDir: network.netns_dir,
      timeoutMs: toMs(network.cni_timeout),
    },
    cgroup: { driver: cgroup.driver, defaultParent: cgroup.default_parent, shimParent: cgroup.shim_parent },
    log: { level: file.log.level },
    rlimits: file.rlimits,
    timeouts: {
      runPodMs: toMs(timeouts.run_pod),
      createContainerMs: toMs(timeouts.create_container),
      startContainerMs: toMs(timeouts.start_container),
      removeMs: toMs(timeouts.remove),
      killMs: toMs(timeouts.kill),
      volumeMs: toMs(timeouts.volume),
      shutdownMs: toMs(timeouts.shutdown),
    },
    images: {
      loadTimeoutMs: toMs(images.load_timeout),
      parallelPulls: images.parallel_pulls,
      maxLayerBytes: images.max_layer_gib * 1024 ** 3,
      pinned: images.pinned,
    },
    stats: { intervalMs: toMs(stats.interval) },
    registries: {
      hostsDirectories: registries.hosts_directories,
      registriesConf: registries.registries_conf,
      authFiles: registries.auth_files,
      plainHttp: registries.plain_http,
      minimumBytesPerSecond: registries.minimum_throughput,
      stallMs: toMs(registries.stall_timeout),
      attempts: registries.attempts,
    },
  };
}

export function toPaths(file: Pick<ConfigFile, 'root' | 'run' | 'socket' | 'admin_socket'>): StatePaths {
  return {
    root: file.root,
    run: file.run,
    socket: file.socket || below(file.run, 'berth.sock', 'socket'),
    adminSocket: file.admin_socket || below(file.run, 'admin.sock', 'admin_socket'),
  };
}

function toStreaming(file: ConfigFile['streaming']): StreamingConfig {
  const { tls_cert: cert, tls_key: key } = file;
  if ((cert === '') !== (key === '')) {
    throw new BerthError(
      'CONFIG_INVALID',
      'streaming.tls_cert and streaming.tls_key belong together: set both or none',
    );
  }
  return {
    address: splitAddress(file.address),
    tls: cert === '' ? undefined : { cert, key },
    tokenTtlMs: toMs(file.token_ttl),
    handshakeTimeoutMs: toMs(file.handshake_timeout),
    idleTimeoutMs: toMs(file.idle_timeout),
    maxConnections: file.max_connections,
  };
}

/** A choice the schema knows but this version does not have: better refused at start than found out by the first pod. */
function refuseUnbuilt(key: string, value: string, unbuilt: string): void {
  if (value !== unbuilt) return;
  throw new BerthError('CONFIG_INVALID', `${key} = "${value}" is not built yet`);
}

function below(run: string, name: string, key: string): string {
  const socket = `${run === '/' ? '' : run}/${name}`;
  if (Buffer.byteLength(socket) <= socketPathLimit) return socket;
  throw new BerthError(
    'CONFIG_INVALID',
    `${socket} is too long for a unix socket (${socketPathLimit} bytes): choose a shorter run directory or set ${key}`,
  );
}

function toMs(text: string): number {
  const ms = durationMs(text);
  if (ms === undefined) throw new BerthError('INTERNAL', `duration ${text} passed the schema but cannot be read`);
  return ms;
}
