import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '#base/clock';
import { createCtx, type Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { BerthError, isBerthError, messageOf } from '#base/errors';
import { randomIds } from '#base/ids';
import { createMetrics } from '#base/metrics';
import { createPinoLog, type PinoLog } from '#base/pino-log';
import { LiveConfig, liveSlice, type ReloadReport } from '#config/live-config';
import { loadConfig } from '#config/load';
import type { Image, ImageStore, LoadSource } from '#images/image-store';
import { LocalImageStore } from '#images/local-image-store';
import { pinnedBy } from '#images/pinned';
import { pullMetrics } from '#images/pull-metrics';
import { RemoteRegistry } from '#images/registry/remote-registry';
import { Files } from '#linux/files';
import { loadAddon } from '#linux/load';
import { ServiceManager } from '#linux/service-manager';
import { attachmentRecords } from '#network/cni/attachments';
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
import { imageService } from '#server/image-service/image-service';
import { MetricsServer } from '#server/metrics-server';
import { onlyUsers } from '#server/peers';
import { podTimelines } from '#server/pod-timelines';
import { ReadyGate } from '#server/ready-gate';
import { runtimeService } from '#server/runtime-service/runtime-service';
import { noStreams } from '#server/streaming/no-streams';
import { StreamingServer } from '#server/streaming/streaming-server';
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
  dieOnBugs(log);
  log.info({ version, node: process.version, config: first.files }, 'berthd starts');
  const ended = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => ended.resolve(signal));
  let reload = (): unknown => live.reload();
  process.on('SIGHUP', () => void reload());
  try {
    const daemon = await startDaemon(live, log, () => ended.resolve('the admin socket'));
    reload = daemon.reload;
    log.info({ by: await ended.promise }, 'berthd ends; pods go on');
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

/** A bug leaves a stack and an end: a daemon in an unknown state is worse than one that starts anew and adopts its pods. */
function dieOnBugs(log: PinoLog): void {
  const die = (what: string) => (error: unknown) => {
    log.error({ err: error }, what);
    // eslint-disable-next-line no-restricted-syntax -- main.ts decides the exit code
    void log.flush(1000).then(() => process.exit(exitCodes.software));
  };
  process.on('uncaughtException', die('uncaught exception: this is a bug in Berth'));
  process.on('unhandledRejection', die('unhandled rejection: this is a bug in Berth'));
}

interface Daemon {
  readonly reload: () => ReloadReport;
  readonly stop: () => Promise<void>;
}

/** Builds every module and joins them. Listens at once; answers when recovery has ended. */
async function startDaemon(live: LiveConfig, log: PinoLog, requestEnd: () => void): Promise<Daemon> {
  const config = live.current;
  await using starting = new AsyncDisposableStack();
  const ending = new AbortController();
  starting.defer(() => ending.abort());
  const ctx = createCtx({ signal: ending.signal, log, requestId: 'start' });
  const metrics = createMetrics({ processMetrics: true });
  const { paths } = config;
  const addon = loadAddon();
  addon.disableCoreDumps();
  const manager = starting.use(
    new ServiceManager({
      addon,
      env: process.env,
      onFailure: (error) => log.warn({ err: error }, 'could not tell systemd'),
      monotonicUs: () => process.hrtime.bigint() / 1000n,
    }),
  );
  const reloads = metrics.counter('config_reloads', 'Reloads of the configuration, by result.', ['result']);
  for (const [directory, mode] of [
    [paths.root, 0o711],
    [paths.run, 0o711],
  ] as const)
    mkdirSync(directory, { recursive: true, mode });
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

  // The lock of the state directory comes first: a second berthd must not touch a socket of the first.
  const store = starting.use(await LevelStore.create(ctx, { directory: path.join(paths.root, 'db'), bootId }));
  const registry = new RemoteRegistry({ config: config.registries });
  starting.defer(() => registry.close());
  live.onChange(({ registries }) => registry.reconfigure(registries));
  const images = starting.use(
    await LocalImageStore.open(ctx, {
      addon,
      root: paths.root,
      store,
      unpackBinary: nativeProgram('unpack/berth-unpack'),
      registry,
      isPinned: pinnedBy(config.images.pinned),
      parallelPulls: config.images.parallelPulls,
      pullMetrics: pullMetrics(metrics),
    }),
  );
  live.onChange(({ images: { pinned } }) => images.pin(pinnedBy(pinned)));
  const network = starting.use(
    openNetwork({
      ...{ ctx, addon, metrics, clock: systemClock, config: config.network, cni: config.cni },
      leases: await store.open(ctx, leaseRecords),
      attachments: await store.open(ctx, attachmentRecords),
    }),
  );
  const runtime = await LinuxRuntime.open({
    addon,
    cgroups: openCgroups(addon),
    log,
    shimBinary: nativeProgram('shim/berth-shim'),
    podsDirectory: path.join(paths.run, 'pods'),
    shimCgroupParent: config.cgroup.shimParent,
    defaultCgroupParent: config.cgroup.defaultParent,
    buildId: version,
    features: { apparmor: existsSync('/sys/kernel/security/apparmor'), selinux: existsSync('/sys/fs/selinux/enforce') },
  });
  starting.defer(() => runtime.close());
  const proto = loadCriProto();
  const hostname = os.hostname();
  const sandboxes = starting.use(
    await Sandboxes.open(ctx, {
      ...{
        store,
        runtime,
        images,
        network,
        files: new Files(addon),
        codec: new RequestCodec(proto.RuntimeService.service),
        clock: systemClock,
        ids: randomIds,
      },
      ...{
        log,
        metrics,
        bootId,
        root: paths.root,
        hostname,
        timeouts: liveSlice(() => live.current.timeouts),
        runtimeHandlers,
      },
      defaultCgroupParent: config.cgroup.defaultParent,
      statsIntervalMs: config.stats.intervalMs,
    }),
  );

  const streams = config.streaming.address
    ? await StreamingServer.start({
        config: config.streaming,
        conversations: sandboxes,
        ...{ log, metrics, clock: systemClock },
      })
    : undefined;
  starting.defer(() => streams?.close(live.current.timeouts.shutdownMs));

  const gate = new ReadyGate();
  const calls = new CallHandler({ gate, log, metrics, clock: systemClock });
  const allowPeer = onlyUsers([0, process.geteuid?.() ?? 0], (fd) => addon.peerCredentials(fd).uid);
  const services = [
    bindService(
      proto.ImageService.service,
      imageService,
      { images, clock: systemClock, runtimeHandlers, writableLayers: () => sandboxes.stats.writableLayers() },
      calls,
    ),
    bindService(
      proto.RuntimeService.service,
      runtimeService,
      {
        ...{ sandboxes, gate, clock: systemClock, version, bootId, features: runtime.features, runtimeHandlers },
        streams: streams ?? noStreams,
        networkStatus: () => network.status(),
        config: () => live.current,
      },
      calls,
    ),
  ];
  const cri = await CriServer.start({ socket: paths.socket, allowPeer, log, services });
  starting.defer(() => cri.close(live.current.timeouts.shutdownMs));
  const reload = (): ReloadReport => {
    void manager.reloading();
    const report = live.reload();
    const result = report.error === '' ? 'done' : 'refused';
    reloads.add({ result });
    if (report.error === '') log.info({ changes: report.changes }, 'the config was reloaded');
    else log.error({ error: report.error }, 'the config was not reloaded: berthd goes on with the old one');
    void manager.reloaded(report.error === '' ? 'serving' : `config refused: ${report.error}`);
    return report;
  };
  const actions: AdminActions = {
    loadImage: (own, source) => loadWithin(own, images, source, live.current.images.loadTimeoutMs),
    pullImage: (own, request) => images.pull(own, request),
    pulls: () => images.pulls(),
    strays: (own) => sandboxes.check(own),
    config: () => live.current,
    lastReload: () => live.lastReload,
    reloadConfig: reload,
    pods: () => podTimelines(sandboxes.listPods()),
    removeAll: async (own) => {
      await sandboxes.removeAll(own);
      await network.removeAll(own);
      await runtime.removeParents(own);
    },
    shutdown: requestEnd,
  };
  const admin = await AdminServer.start({
    socket: paths.adminSocket,
    actions,
    gate,
    allowPeer,
    log,
    clock: systemClock,
  });
  starting.defer(() => admin.close());
  if (config.metrics.address) {
    const http = await MetricsServer.start({ ...config.metrics.address, metrics, gate, log });
    starting.defer(() => http.close());
  }
  starting.defer(() => {
    gate.close('berthd is shutting down');
    calls.endWatches();
    void images.endPulls();
  });
  await sandboxes.recover(ctx);
  gate.open();
  // The first container would do it; its caller need not wait.
  runtime.warmUp().catch((error: unknown) => log.warn({ err: error }, 'could not compile the usual seccomp profile'));
  log.info({ socket: paths.socket }, 'berthd serves');
  await manager.ready();
  const all = starting.move();
  const stop = async (): Promise<void> => {
    await manager.stopping();
    await all.disposeAsync();
  };
  return { reload, stop };
}

async function loadWithin(ctx: Ctx, images: ImageStore, source: LoadSource, ms: number): Promise<readonly Image[]> {
  using deadline = new Deadline(ms, `loading ${source.path}`, ctx.signal);
  return await images.load(ctx.detach(deadline.signal), source);
}

function nativeProgram(name: string): string {
  // Seen from src/ and from build/src/.
  const places = ['../build/native', '../native'].map((place) => path.resolve(import.meta.dirname, place, name));
  const found = places.find((place) => existsSync(place));
  if (found === undefined) {
    throw new BerthError(
      'FAILED_PRECONDITION',
      `${name} is not built: run "make build"; looked for ${places.join(', ')}`,
    );
  }
  return found;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`berthd: ${messageOf(error)}\n`);
  if (isBerthError(error, 'CONFIG_INVALID')) return exitCodes.config;
  return isBerthError(error) ? exitCodes.unavailable : exitCodes.software;
});
