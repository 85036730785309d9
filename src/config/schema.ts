import { z } from 'zod';
import {
  absolutePath,
  boolean,
  cgroupPath,
  duration,
  filePath,
  imagePattern,
  integer,
  interfaceName,
  listOf,
  listenAddress,
  live,
  oneOf,
  registryHost,
  resourceLimit,
  socketPath,
  subnet,
  tableName,
} from './values.ts';

// Every key of the configuration, its type, default and meaning. docs/config.md is made from this file
// (tools/gen-config-docs.ts); the rest of Berth sees the slices of slices.ts.

const metrics = z.strictObject({
  address: listenAddress()
    .default('127.0.0.1:9478')
    .describe('Where Prometheus metrics (`/metrics`) and health (`/healthz`) are served.'),
});

const cri = z.strictObject({
  max_connections: integer(16, 100_000)
    .default(4096)
    .describe(
      'Clients connected to the CRI socket at a time. Up to 1024 more wait for a place, for 10 s, and are refused then.',
    ),
  idle_timeout: duration()
    .default('1h')
    .describe('A connection to the CRI socket without a call for this time is closed; gRPC clients make a new one.'),
});

const streaming = z.strictObject({
  address: listenAddress()
    .default('127.0.0.1:0')
    .describe(
      'Where clients of exec, attach and port-forward connect; port 0 takes a free one, "" refuses these calls.',
    ),
  tls_cert: filePath().default('').describe('PEM file of the certificate to serve them with; "" for plain HTTP.'),
  tls_key: filePath().default('').describe('PEM file of its key.'),
  token_ttl: duration().default('1m').describe('How long the URL that such a call gives can be used (once).'),
  handshake_timeout: duration().default('30s').describe('For a client to open the streams it asked for.'),
  idle_timeout: duration().default('4h').describe('A connection on which nothing moves for this time is ended.'),
  max_connections: integer(1, 100_000).default(1000).describe('Clients connected at a time; more are refused.'),
});

const network = z.strictObject({
  mode: oneOf(['builtin', 'cni'])
    .default('builtin')
    .describe('Who connects pods: the built-in bridge, or CNI plugins, as in a cluster. Never guessed.'),
  bridge: interfaceName().default('berth0').describe('Name of the built-in network’s bridge.'),
  ipv4_subnet: subnet(4).default('10.89.0.0/16').describe('IPv4 addresses of pods.'),
  ipv6_subnet: subnet(6).default('fd89::/64').describe('IPv6 addresses of pods.'),
  nft_table: tableName().default('berth').describe('Name of the nftables table (family inet) Berth owns.'),
  masquerade: boolean().default(true).describe('Whether traffic of pods leaves the node with the node’s address.'),
  pool_size: integer(0, 64).default(4).describe('Network namespaces kept ready for the next pods.'),
  mtu: integer(0, 65_535).default(0).describe('MTU of pods’ interfaces; 0 takes that of the default route.'),
  cni_conf_dir: absolutePath()
    .default('/etc/cni/net.d')
    .describe('Where mode "cni" looks for `*.conflist`, `*.conf` and `*.json`: the first valid one in lexical order.'),
  cni_bin_dirs: listOf(absolutePath())
    .default(['/opt/cni/bin', '/usr/lib/cni'])
    .describe('Directories of CNI plugins, searched in order.'),
  cni_timeout: duration().default('1m').describe('For one call of one CNI plugin; it is killed then.'),
  netns_dir: absolutePath()
    .default('/run/netns')
    .describe('Where CNI plugins find the network namespaces of pods. Two berthds on a machine need two of them.'),
});

const cgroup = z.strictObject({
  driver: oneOf(['cgroupfs', 'systemd'])
    .default('cgroupfs')
    .describe('Who makes control groups. Must be the kubelet’s driver; systemd is not built yet.'),
  default_parent: cgroupPath()
    .default('/berth')
    .describe('Parent of pods whose config names none (as crictl’s often do).'),
  shim_parent: cgroupPath()
    .default('/berth-shims')
    .describe('Where the pods’ shims live, outside the pods’ own accounting.'),
});

const log = z.strictObject({
  level: live(
    oneOf(['debug', 'info', 'warn', 'error']).default('info').describe('The least important lines to write.'),
  ),
});

const timeouts = z.strictObject({
  run_pod: live(duration().default('2m').describe('For a pod to be set up, network included.')),
  create_container: live(duration().default('2m').describe('For a container to be set up.')),
  start_container: live(
    duration().default('1m').describe('For a container’s command, and that of an ExecSync, to be executed.'),
  ),
  remove: live(
    duration().default('1m').describe('For a pod or container to be removed, and for a pod’s network to go.'),
  ),
  kill: live(duration().default('30s').describe('For processes to be gone after SIGKILL.')),
  volume: live(
    duration().default('30s').describe('For a volume’s path to answer; one that does not fails its container.'),
  ),
  shutdown: live(duration().default('10s').describe('For berthd to end its calls after SIGTERM; pods go on.')),
});

const stats = z.strictObject({
  interval: duration()
    .default('10s')
    .describe('Between samples of what pods use that nobody asked for; whoever asks gets younger ones.'),
});

const images = z.strictObject({
  load_timeout: live(duration().default('30m').describe('For one image to be loaded from a file.')),
  parallel_pulls: integer(1, 64)
    .default(8)
    .describe('Images that are pulled at once; more wait in their order. Of each a few layers come at once.'),
  max_layer_gib: live(
    integer(1, 1_048_576)
      .default(1024)
      .describe('GiB of files that one layer may unpack to, zeros included; holes of sparse files do not count.'),
  ),
  pinned: live(
    listOf(imagePattern())
      .default([])
      .describe(
        'Images that the kubelet’s clean-up leaves alone: names, or full names with `*` for any characters ("localhost/infra/*").',
      ),
  ),
});

const registries = z.strictObject({
  hosts_directories: live(
    listOf(absolutePath())
      .default(['/etc/berth/certs.d', '/etc/containerd/certs.d'])
      .describe('Directories of `<registry>/hosts.toml`; the first that has one for a registry counts.'),
  ),
  registries_conf: live(
    z
      .union([z.literal(''), absolutePath()])
      .default('/etc/containers/registries.conf')
      .describe('registries.conf(5), version 2, with its `.d` beside it; "" for none.'),
  ),
  auth_files: live(
    listOf(absolutePath())
      .default([])
      .describe('Files of credentials (docker’s config.json, containers-auth.json) for calls that bring none.'),
  ),
  plain_http: live(
    listOf(registryHost())
      .default([])
      .describe('Registries and token servers ("host" or "host:port") spoken to in plain HTTP.'),
  ),
  minimum_throughput: live(
    integer(0, 1_000_000_000)
      .default(1024)
      .describe(
        'Bytes a second below which a download is broken off and resumed; 0 for a single byte in `stall_timeout`.',
      ),
  ),
  stall_timeout: live(
    duration()
      .default('30s')
      .describe('How long a download may stay below `minimum_throughput`, and a registry silent.'),
  ),
  attempts: live(
    integer(1, 100)
      .default(6)
      .describe('Attempts without progress for one document or blob, over all mirrors, before its pull fails.'),
  ),
});

const inBytes = { unit: 'bytes' };

const rlimits = z.strictObject({
  core: resourceLimit(inBytes).default('unlimited').describe('Size of a core file (RLIMIT_CORE).'),
  memlock: resourceLimit(inBytes).default('8388608').describe('What may be locked in memory (RLIMIT_MEMLOCK).'),
  msgqueue: resourceLimit(inBytes).default('819200').describe('What is in POSIX message queues (RLIMIT_MSGQUEUE).'),
  nofile: resourceLimit({
    unit: 'open files',
    least: { soft: 4n, why: 'no program could open its libraries' },
    mostFile: '/proc/sys/fs/nr_open',
  })
    .default('1024:524288')
    .describe(
      'Open files (RLIMIT_NOFILE), 4 to `/proc/sys/fs/nr_open`: 1024, so that programs with select(2) work; those that need more raise it themselves.',
    ),
  nproc: resourceLimit({
    unit: 'processes',
    least: { soft: 1n, why: 'no user but root could start a container' },
  })
    .default('unlimited')
    .describe(
      'Processes of one user (RLIMIT_NPROC), at least 1; counted over the whole node where users are the node’s.',
    ),
  stack: resourceLimit({
    unit: 'bytes',
    least: {
      soft: 131_072n,
      why: 'the kernel wants as much for arguments alone, and programs die before their first line',
    },
  })
    .default('8388608:unlimited')
    .describe('Size of a stack (RLIMIT_STACK), at least 131072; a quarter of it bounds arguments and environment.'),
});

export const configSchema = z.strictObject({
  root: absolutePath()
    .default('/var/lib/berth')
    .describe('State that survives a reboot: database, images, containers.'),
  reserve_mib: integer(0, 1024)
    .default(16)
    .describe(
      'MiB below `root` taken in advance, so that ends, stops and removals are recorded when its disk is full; 0 for none.',
    ),
  run: absolutePath()
    .default('/run/berth')
    .describe('State that a reboot clears: sockets, running pods. Another directory than `root`.'),
  socket: z
    .union([z.literal(''), socketPath()])
    .default('')
    .describe('The CRI socket; "" means `berth.sock` below `run`.'),
  admin_socket: z
    .union([z.literal(''), socketPath()])
    .default('')
    .describe('The socket of the `berth` command; "" means `admin.sock` below `run`.'),
  metrics: metrics.prefault({}).describe('Metrics and health over HTTP.'),
  cri: cri.prefault({}).describe('The CRI socket.'),
  streaming: streaming.prefault({}).describe('Exec, attach and port-forward.'),
  network: network.prefault({}).describe('Pods’ network.'),
  cgroup: cgroup.prefault({}).describe('Control groups.'),
  log: log.prefault({}).describe('berthd’s own log, on stderr.'),
  rlimits: rlimits
    .prefault({})
    .describe(
      'Limits of processes in containers, whatever berthd was started with; lower where berthd may not give more.',
    ),
  timeouts: timeouts.prefault({}).describe('How long Berth’s own operations may take, whoever waits for them.'),
  stats: stats.prefault({}).describe('Statistics of pods and containers.'),
  images: images.prefault({}).describe('Images.'),
  registries: registries.prefault({}).describe('How registries are reached.'),
});

/** The keys of the state's places alone, whatever else the files say. */
export const pathsSchema = configSchema.pick({ root: true, run: true, socket: true, admin_socket: true }).strip();

/** The file's words, checked and complete. */
export type ConfigFile = z.output<typeof configSchema>;
