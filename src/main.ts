import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '#base/clock';
import { createCtx, type Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { isBerthError, messageOf } from '#base/errors';
import { fullDiskLines, fullDisks } from '#base/free-space';
import { randomIds } from '#base/ids';
import { unattended } from '#base/unattended';
import { createMetrics, type Metrics } from '#base/metrics';
import { createPinoLog, type PinoLog } from '#base/pino-log';
import { watchForBugs } from '#base/watch-for-bugs';
import { LiveConfig, liveSlice, type ReloadReport } from '#config/live-config';
import { loadConfig } from '#config/load';
import { reloader } from '#config/reloader';
import { makeStatePlaces } from '#config/state-paths';
import { LocalImageStore } from '#images/local-image-store';
import { pinnedBy } from '#images/pinned';
import { pullMetrics, unknownFieldsMetric } from '#images/pull-metrics';
import { RemoteRegistry } from '#images/registry/remote-registry';
import type { Addon } from '#linux/addon';
import { Files } from '#linux/files';
import { checkHelpers } from '#linux/check-helpers';
import { loadAddon } from '#linux/load';
import { lockDirectory } from '#linux/lock-directory';
import { nativeProgram } from '#linux/native-program';
import { refuseChroot } from '#linux/refuse-chroot';
import { securityModules } from '#linux/security-modules';
import { ServiceManager } from '#linux/service-manager';
import { warnOfSharedWatches } from '#linux/shared-watches';
import { attachmentRecords } from '#network/cni/attachments';
import type { NetworkByMode } from '#network/network-by-mode';
import { openNetwork } from '#network/open-network';
import { leaseRecords } from '#network/store-address-book';
import { openCgroups } from '#runtime/cgroup/open-cgroups';
import { LinuxRuntime } from '#runtime/linux-runtime';
import type { AdminActions } from '#server/admin-actions';
import { AdminServer } from '#server/admin-server';
import { bindService } from '#server/bind-service';
import { loadCriProto } from '#server/cri-proto';
import { CriServer } from '#server/cri-server';
import { CallHandler } from '#server/handle-call';
import { RequestCodec } from '#server/identity-codec';
import type { ImageServiceDeps } from '#server/image-service/deps';
import { imageService } from '#server/image-service/image-service';
import { MetricsServer } from '#server/metrics-server';
import { onlyUsers } from '#server/peers';
import { podTimelines } from '#server/pod-timelines';
import { ReadyGate } from '#server/ready-gate';
import type { RuntimeServiceDeps } from '#server/runtime-service/deps';
import { runtimeService } from '#server/runtime-service/runtime-service';
import { connectionMetrics, type ConnectionMetrics } from '#server/served-connections';
import { noStreams } from '#server/streaming/no-streams';
import { StreamingServer } from '#server/streaming/streaming-server';
import { warnOfModules } from '#sandbox/module-labels';
import { Sandboxes } from '#sandbox/sandboxes';
import { LevelStore } from '#store/level-store';

// The only place that builds modules and joins them; signals and exit codes. Nobody imports it.

/** sysexits.h, where they fit; 70 is also what a bug ends with. */
const exitCodes = { usage: 64, unavailable: 69, software: 70, config: 78 } as const;

const version = '0.1.0';
/** Handlers a pod may name; "" is the default one. */
const runtimeHandlers = ['', 'berth'];

const usage = `usage: berthd [--config FILE]

Serves the Kubernetes CRI. Without --config it reads /etc/berth/config.toml and config.d/*.toml beside it, if they exist.
  --config FILE  read this file, which must exist
  --version      print the version
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { config: { type: 'string' }, version: { type: 'boolean' }, help: { type: 'boolean' } },
  });
  if (values.help) return say(usage);
  if (values.version) return say(`berthd ${version}\n`);
  const load = () => loadConfig({ file: values.config });
  const first = load();
  const live = new LiveConfig({ first, load, now: () => new Date() });
  const log = createPinoLog({ level: first.config.log.level });
  live.onChange((config) => log.setLevel(config.log.level));
  const metrics = createMetrics({ processMetrics: true, version });
  watchForBugs(log, metrics, () => {
    // eslint-disable-next-line no-restricted-syntax -- main.ts decides the exit code
    process.exit(exitCodes.software);
  });
  log.info({ version, node: process.version, config: first.files }, 'berthd starts');
  const ended = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => ended.resolve(signal));
  let reload = (): unknown => live.reload();
  process.on('SIGHUP', () => void reload());
  try {
    let left = 'pods go on';
    const owner: OwnersEnd = {
      removedAll: () => (left = 'every pod was removed'),
      requestEnd: () => ended.resolve('the admin socket'),
    };
    const daemon = await startDaemon({ live, log, metrics }, owner);
    reload = daemon.reload;
    const by = await ended.promise;
    log.info({ by }, `berthd ends; ${left}`);
    await daemon.stop();
  } finally {
    await log.flush(2000);
  }
  return 0;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

interface Daemon {
  readonly reload: () => ReloadReport;
  readonly stop: () => Promise<void>;
}

/** What the owner asks for through the admin socket. */
interface OwnersEnd {
  readonly removedAll: () => void;
  readonly requestEnd: () => void;
}

/** What is there before anything can fail. */
interface FirstOfAll {
  readonly live: LiveConfig;
  readonly log: PinoLog;
  readonly metrics: Metrics;
}

/** What every module is made from. */
interface Base extends FirstOfAll {
  readonly ctx: Ctx;
  readonly addon: Addon;
  readonly store: LevelStore;
  readonly bootId: string;
}

interface Modules {
  readonly images: LocalImageStore;
  readonly network: NetworkByMode;
  readonly runtime: LinuxRuntime;
}

/** What the servers share. */
interface Doors {
  readonly gate: ReadyGate;
  readonly calls: CallHandler;
  readonly allowPeer: ReturnType<typeof onlyUsers>;
  readonly connectionMetrics: ConnectionMetrics;
  readonly fullDisks: () => string;
}

/** Builds every module and joins them. Listens at once; answers when recovery has ended. */
async function startDaemon(first: FirstOfAll, end: OwnersEnd): Promise<Daemon> {
  await using starting = new AsyncDisposableStack();
  const base = await openBase(starting, first);
  const { ctx, live, log, metrics, addon } = base;
  const manager = starting.use(
    new ServiceManager({
      ...{ addon, env: process.env, monotonicUs: () => process.hrtime.bigint() / 1000n },
      onFailure: (error) => log.warn({ err: error }, 'could not tell systemd'),
    }),
  );
  const modules: Modules = {
    images: await openImages(starting, base),
    network: await openPodNetwork(starting, base),
    runtime: await openRuntime(starting, base),
  };
  const proto = loadCriProto();
  const sandboxes = await openSandboxes(starting, base, modules, new RequestCodec(proto.RuntimeService.service));
  const streams = await startStreaming(starting, base, sandboxes);

  const gate = new ReadyGate();
  const { root, run } = live.current.paths;
  const told = (): string => fullDisks([root, run]);
  const doors: Doors = {
    ...{ gate, fullDisks: told },
    calls: new CallHandler({ gate, log, metrics, clock: systemClock, fullDisks: told }),
    allowPeer: onlyUsers([0, process.geteuid?.() ?? 0], (fd) => addon.peerCredentials(fd).uid),
    connectionMetrics: connectionMetrics(metrics),
  };
  await startCri(starting, base, modules, doors, { proto, sandboxes, streams });
  const reload = reloader({ live, log, metrics, manager });
  await startAdmin(starting, base, doors, adminActions(base, modules, sandboxes, { reload, ...end }));
  await startMetrics(starting, base, gate);
  starting.defer(() => {
    gate.close('berthd is shutting down');
    doors.calls.endWatches();
    unattended(log, 'ending the pulls', modules.images.endPulls());
  });

  await sandboxes.recover(ctx);
  gate.open();
  // The first container would do it; its caller need not wait.
  modules.runtime
    .warmUp()
    .catch((error: unknown) => log.warn({ err: error }, 'could not compile the usual seccomp profile'));
  log.info({ socket: live.current.paths.socket }, 'berthd serves');
  await manager.ready();
  const all = starting.move();
  const stop = async (): Promise<void> => {
    await manager.stopping();
    await all.disposeAsync();
  };
  return { reload, stop };
}

async function openBase(starting: AsyncDisposableStack, { live, log, metrics }: FirstOfAll): Promise<Base> {
  const ending = new AbortController();
  starting.defer(() => ending.abort());
  const ctx = createCtx({ signal: ending.signal, log, requestId: 'start' });
  const addon = loadAddon();
  addon.disableCoreDumps();
  refuseChroot(addon);
  await checkHelpers(ctx, addon, [nativeProgram('shim/berth-shim'), nativeProgram('unpack/berth-unpack')]);
  warnOfSharedWatches(addon, log);
  const { root, run } = live.current.paths;
  await makeStatePlaces({ root, run });
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  // The lock of the state directory comes first: a second berthd must not touch a socket of the first. It is berthd's own,
  // because on a full disk nobody can open the database, and so nobody locks that.
  starting.use(lockDirectory(addon, root));
  const store = starting.use(
    await LevelStore.create(ctx, {
      directory: path.join(root, 'db'),
      bootId,
      reserveBytes: live.current.reserveBytes,
      scratch: [run, '/dev/shm', os.tmpdir()],
      signs: [path.join(root, 'blobs/sha256'), path.join(root, 'containers'), path.join(run, 'pods')],
    }),
  );
  return { ctx, live, log, metrics, addon, store, bootId };
}

async function openImages(starting: AsyncDisposableStack, base: Base): Promise<LocalImageStore> {
  const { ctx, live, metrics, addon, store } = base;
  const { paths, registries, images: config } = live.current;
  const registry = new RemoteRegistry({ config: registries });
  starting.defer(() => registry.close());
  live.onChange((changed) => registry.reconfigure(changed.registries));
  const images = starting.use(
    await LocalImageStore.open(ctx, {
      addon,
      root: paths.root,
      store,
      unpackBinary: nativeProgram('unpack/berth-unpack'),
      registry,
      isPinned: pinnedBy(config.pinned),
      parallelPulls: config.parallelPulls,
      maxLayerBytes: () => live.current.images.maxLayerBytes,
      pullMetrics: pullMetrics(metrics),
      countUnknownFields: unknownFieldsMetric(metrics),
    }),
  );
  live.onChange((changed) => images.pin(pinnedBy(changed.images.pinned)));
  return images;
}

async function openPodNetwork(starting: AsyncDisposableStack, base: Base): Promise<NetworkByMode> {
  const { ctx, live, metrics, addon, store } = base;
  const { network, cni } = live.current;
  return starting.use(
    openNetwork({
      ...{ ctx, addon, metrics, clock: systemClock, config: network, cni },
      leases: await store.open(ctx, leaseRecords),
      attachments: await store.open(ctx, attachmentRecords),
    }),
  );
}

async function openRuntime(starting: AsyncDisposableStack, { live, log, addon }: Base): Promise<LinuxRuntime> {
  const { paths, cgroup } = live.current;
  const modules = securityModules();
  warnOfModules(modules, log);
  const runtime = await LinuxRuntime.open({
    addon,
    cgroups: openCgroups(addon),
    log,
    shimBinary: nativeProgram('shim/berth-shim'),
    podsDirectory: path.join(paths.run, 'pods'),
    shimCgroupParent: cgroup.shimParent,
    defaultCgroupParent: cgroup.defaultParent,
    buildId: version,
    rlimits: live.current.rlimits,
    features: modules,
  });
  starting.defer(() => runtime.close());
  return runtime;
}

async function openSandboxes(
  starting: AsyncDisposableStack,
  base: Base,
  modules: Modules,
  codec: RequestCodec,
): Promise<Sandboxes> {
  const { ctx, live, log, metrics, addon, store, bootId } = base;
  const { paths, cgroup, stats } = live.current;
  return starting.use(
    await Sandboxes.open(ctx, {
      ...modules,
      ...{ store, log, metrics, bootId, codec, runtimeHandlers },
      files: new Files(addon),
      clock: systemClock,
      ids: randomIds,
      root: paths.root,
      hostname: os.hostname(),
      timeouts: liveSlice(() => live.current.timeouts),
      defaultCgroupParent: cgroup.defaultParent,
      statsIntervalMs: stats.intervalMs,
    }),
  );
}

/** Undefined when the config wants no streams. */
async function startStreaming(
  starting: AsyncDisposableStack,
  { live, log, metrics }: Base,
  conversations: Sandboxes,
): Promise<StreamingServer | undefined> {
  const { streaming: config } = live.current;
  if (!config.address) return undefined;
  const streams = await StreamingServer.start({ config, conversations, log, metrics, clock: systemClock });
  starting.defer(() => streams.close(live.current.timeouts.shutdownMs));
  return streams;
}

async function startCri(
  starting: AsyncDisposableStack,
  { live, log, bootId }: Base,
  { images, network, runtime }: Modules,
  { gate, calls, allowPeer, connectionMetrics }: Doors,
  parts: {
    readonly proto: ReturnType<typeof loadCriProto>;
    readonly sandboxes: Sandboxes;
    readonly streams: StreamingServer | undefined;
  },
): Promise<void> {
  const { proto, sandboxes, streams } = parts;
  const forImages: ImageServiceDeps = {
    ...{ images, runtimeHandlers },
    clock: systemClock,
    writableLayers: () => sandboxes.stats.writableLayers(),
  };
  const forRuntime: RuntimeServiceDeps = {
    ...{ sandboxes, images, gate, version, bootId, runtimeHandlers },
    clock: systemClock,
    features: runtime.features,
    streams: streams ?? noStreams,
    networkStatus: () => network.status(),
    config: () => live.current,
  };
  const cri = await CriServer.start({
    ...{ socket: live.current.paths.socket, config: live.current.cri, allowPeer, connectionMetrics, log },
    clock: systemClock,
    services: [
      bindService(proto.ImageService.service, imageService, forImages, calls),
      bindService(proto.RuntimeService.service, runtimeService, forRuntime, calls),
    ],
  });
  starting.defer(() => cri.close(live.current.timeouts.shutdownMs));
}

function adminActions(
  { live }: Base,
  { images, network, runtime }: Modules,
  sandboxes: Sandboxes,
  owner: OwnersEnd & { readonly reload: () => ReloadReport },
): AdminActions {
  const { root, run } = live.current.paths;
  return {
    loadImage: async (own, source) => {
      using deadline = new Deadline(live.current.images.loadTimeoutMs, `loading ${source.path}`, own.signal);
      return await images.load(own.detach(deadline.signal), source);
    },
    pullImage: (own, request) => images.pull(own, request),
    pulls: () => images.pulls(),
    strays: async (own) => [...fullDiskLines([root, run]), ...(await sandboxes.check(own))],
    forget: (own) => sandboxes.forget(own),
    config: () => live.current,
    lastReload: () => live.lastReload,
    reloadConfig: owner.reload,
    pods: async () => {
      const silent = await runtime.silentShims();
      return podTimelines(sandboxes.listPods(), silent);
    },
    removeAll: async (own) => {
      await sandboxes.removeAll(own);
      await network.removeAll(own);
      await runtime.removeParents(own);
      owner.removedAll();
    },
    shutdown: owner.requestEnd,
  };
}

async function startAdmin(
  starting: AsyncDisposableStack,
  { live, log }: Base,
  { gate, allowPeer, connectionMetrics, fullDisks: told }: Doors,
  actions: AdminActions,
): Promise<void> {
  const { adminSocket: socket } = live.current.paths;
  const admin = await AdminServer.start({
    ...{ socket, actions, gate, allowPeer, connectionMetrics, log },
    clock: systemClock,
    fullDisks: told,
  });
  starting.defer(() => admin.close());
}

async function startMetrics(
  starting: AsyncDisposableStack,
  { live, log, metrics }: Base,
  gate: ReadyGate,
): Promise<void> {
  const { address } = live.current.metrics;
  if (!address) return;
  const http = await MetricsServer.start({ ...address, metrics, gate, log });
  starting.defer(() => http.close());
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`berthd: ${messageOf(error)}\n`);
  if (isBerthError(error, 'CONFIG_INVALID')) return exitCodes.config;
  return isBerthError(error) ? exitCodes.unavailable : exitCodes.software;
});
