import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { type Clock, systemClock } from '#base/clock';
import type { Ctx } from '#base/ctx';
import { Listeners } from '#base/listeners';
import type { Logger } from '#base/log';
import type { RlimitsConfig } from '#config/slices';
import type { Addon } from '#linux/addon';
import type { Fd } from '#linux/fd';
import { adopt, containerState } from './adopt.ts';
import { attach } from './attach.ts';
import type { Cgroups } from './cgroup/cgroups.ts';
import type { ContainerInput, PodInput } from './container-input.ts';
import * as containers from './containers.ts';
import { dial, openNetns } from './dial.ts';
import { exec } from './exec-stream.ts';
import { execSync } from './exec-sync.ts';
import { endPod, killShimTree, runPod } from './pods.ts';
import { Graveyard } from './graveyard.ts';
import { OutputBudget } from './output-budget.ts';
import type * as face from './runtime.ts';
import type { RuntimeParts } from './runtime-parts.ts';
import { askNowAndThen, silentShims } from './silent-shims.ts';
import { deviceName, sample } from './sample.ts';
import { SeccompFilters } from './seccomp/filters.ts';
import { defaultProfile, nativeArchitectures } from './seccomp/resolve.ts';
import { PodDirectories } from './shim/pod-directory.ts';
import { ShimLauncher } from './shim/shim-launcher.ts';
import type * as streams from './streams.ts';
import { capabilitiesOf, defaultCapabilities } from './spec/capabilities.ts';
import type { LinuxResources } from './spec/oci.ts';
import { containerRlimits, type Rlimit } from './spec/rlimits.ts';
import type { RuntimeSample, WantedStats } from './stats.ts';
import { hasUserNamespaces } from './user-namespaces.ts';
import { makeParents, removeParents, strays } from './strays.ts';

export interface LinuxRuntimeOptions {
  readonly addon: Addon;
  readonly cgroups: Cgroups;
  readonly log: Logger;
  readonly clock?: Clock;
  /** The berth-shim binary. */
  readonly shimBinary: string;
  /** `<run>/pods`, on a tmpfs. */
  readonly podsDirectory: string;
  readonly shimCgroupParent: string;
  readonly defaultCgroupParent: string;
  readonly buildId: string;
  readonly features: Pick<face.RuntimeFeatures, 'apparmor' | 'selinux' | 'seccomp'>;
  readonly rlimits: RlimitsConfig;
}

/** Pods and containers on Linux: the Runtime that berthd uses. */
export class LinuxRuntime implements face.Runtime {
  readonly features: face.RuntimeFeatures;
  readonly #parts: RuntimeParts;
  readonly #closing: AbortController;

  private constructor(
    parts: RuntimeParts,
    closing: AbortController,
    options: LinuxRuntimeOptions,
    userNamespaces: boolean,
  ) {
    this.#parts = parts;
    this.#closing = closing;
    this.features = {
      cgroupVersion: parts.cgroups.version,
      cgroupDriver: parts.cgroups.driver,
      controllers: parts.cgroups.controllers,
      ...options.features,
      userNamespaces,
      recursiveReadOnlyMounts: true,
      rlimits: parts.rlimits,
    };
  }

  static async open(options: LinuxRuntimeOptions): Promise<LinuxRuntime> {
    const { addon, log } = options;
    await mkdir(options.podsDirectory, { recursive: true, mode: 0o700 });
    const caps = addon.capabilities();
    const held = capabilitiesOf(caps.effective & caps.bounding);
    const closing = new AbortController();
    const parts: RuntimeParts = {
      addon,
      cgroups: options.cgroups,
      launcher: new ShimLauncher(addon, options.shimBinary),
      directories: new PodDirectories(addon, options.podsDirectory),
      filters: new SeccompFilters(addon),
      clock: options.clock ?? systemClock,
      log,
      events: new Listeners((error) => log.error({ err: error }, 'a listener of runtime events failed')),
      heldCapabilities: held,
      architectures: nativeArchitectures(process.arch),
      rlimits: rlimitsOf(options, held),
      outputs: new OutputBudget(),
      buildId: options.buildId,
      shimCgroupParent: options.shimCgroupParent,
      defaultCgroupParent: options.defaultCgroupParent,
      graveyard: new Graveyard(options.cgroups, log),
      shims: new Map(),
      closing: closing.signal,
    };
    await makeParents(parts);
    askNowAndThen(parts);
    const userNamespaces = await hasUserNamespaces(addon, options.shimBinary, log);
    return new LinuxRuntime(parts, closing, options, userNamespaces);
  }

  /** Compiles the filter most containers will use, so that the first one need not wait for it. */
  async warmUp(): Promise<void> {
    const usual = new Set(defaultCapabilities.filter((name) => this.#parts.heldCapabilities.has(name)));
    await this.#parts.filters.get(defaultProfile(usual, this.#parts.architectures));
  }

  runPod(ctx: Ctx, pod: PodInput): Promise<face.PodProcess> {
    return runPod(this.#parts, ctx, pod);
  }

  endPod(ctx: Ctx, podId: string): Promise<void> {
    return endPod(this.#parts, ctx, podId);
  }

  async openNetns(ctx: Ctx, podId: string): Promise<Fd | undefined> {
    const shim = this.#parts.shims.get(podId);
    return shim && (await openNetns(this.#parts.addon, shim, ctx.signal));
  }

  addDocument(_ctx: Ctx, podId: string, text: string): Promise<void> {
    return this.#parts.directories.addDocument(podId, text);
  }

  documents(ctx: Ctx): Promise<ReadonlyMap<string, face.PodDocuments>> {
    return this.#parts.directories.documents(ctx);
  }

  createContainer(ctx: Ctx, input: ContainerInput): Promise<face.CreatedContainer> {
    return containers.createContainer(this.#parts, ctx, input);
  }

  startContainer(ctx: Ctx, podId: string, id: string): Promise<{ readonly startedAtNs: bigint }> {
    return containers.startContainer(this.#parts, ctx, podId, id);
  }

  containerState(ctx: Ctx, podId: string, id: string): Promise<face.AdoptedContainer | undefined> {
    return containerState(this.#parts, ctx, podId, id);
  }

  signalContainer(ctx: Ctx, podId: string, id: string, signal: number, all = false): Promise<void> {
    return containers.signalContainer(this.#parts, ctx, podId, id, signal, all);
  }

  removeContainer(ctx: Ctx, podId: string, id: string, cgroupPath: string): Promise<void> {
    return containers.removeContainer(this.#parts, ctx, podId, id, cgroupPath);
  }

  endContainer(ctx: Ctx, podId: string, id: string): Promise<void> {
    return containers.endContainer(this.#parts, ctx, podId, id);
  }

  execSync(ctx: Ctx, podId: string, id: string, exec: face.ExecInput): Promise<face.ExecResult> {
    return execSync(this.#parts, ctx, podId, id, exec);
  }

  exec(ctx: Ctx, podId: string, id: string, options: streams.ExecOptions): Promise<streams.RunningExec> {
    return exec(this.#parts, ctx, podId, id, options);
  }

  attach(ctx: Ctx, podId: string, id: string, options: streams.AttachOptions): Promise<streams.Attachment> {
    return attach(this.#parts, ctx, podId, id, options);
  }

  dial(ctx: Ctx, podId: string, port: number): Promise<Duplex> {
    return dial(this.#parts, ctx, podId, port);
  }

  sample(ctx: Ctx, wanted: WantedStats): Promise<RuntimeSample> {
    return sample(this.#parts, ctx, wanted);
  }

  updateContainer(ctx: Ctx, cgroupPath: string, resources: LinuxResources): Promise<() => Promise<void>> {
    return this.#parts.cgroups.update(ctx, cgroupPath, resources);
  }

  deviceName(major: number, minor: number): string {
    return deviceName(major, minor);
  }

  reopenLog(ctx: Ctx, podId: string, id: string): Promise<void> {
    return containers.reopenLog(this.#parts, ctx, podId, id);
  }

  acknowledgeExit(ctx: Ctx, podId: string, id: string): Promise<void> {
    return containers.acknowledgeExit(this.#parts, ctx, podId, id);
  }

  onEvent(listener: (event: face.RuntimeEvent) => void): Disposable {
    return this.#parts.events.add(listener);
  }

  adopt(
    ctx: Ctx,
    podIds: readonly string[],
    known: readonly face.KnownContainer[] = [],
  ): Promise<readonly face.AdoptedPod[]> {
    return adopt(this.#parts, ctx, podIds, known);
  }

  async killSilent(ctx: Ctx, podId: string): Promise<void> {
    if (!this.#parts.shims.has(podId)) await killShimTree(this.#parts, ctx, podId);
  }

  strays(ctx: Ctx, known: face.Known): Promise<readonly face.Stray[]> {
    return strays(this.#parts, ctx, known);
  }

  silentShims(): Promise<readonly string[]> {
    return silentShims(this.#parts);
  }

  /** Removes Berth's own cgroup parents when nothing is below them. */
  removeParents(ctx: Ctx): Promise<void> {
    return removeParents(this.#parts, ctx);
  }

  /** Lets go of all shims; pods live on. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const shim of this.#parts.shims.values()) shim[Symbol.dispose]();
    this.#parts.shims.clear();
    this.#parts.graveyard.close();
    this.#parts.launcher[Symbol.dispose]();
  }
}

/** Said once, not with each container. */
function rlimitsOf({ addon, log, rlimits: config }: LinuxRuntimeOptions, held: ReadonlySet<string>): readonly Rlimit[] {
  const { rlimits, cut } = containerRlimits(config, {
    mayRaise: held.has('CAP_SYS_RESOURCE'),
    hardOf: (resource) => addon.getrlimit(resource).hard,
    threads: kernelNumber('/proc/sys/kernel/threads-max'),
    mostFiles: kernelNumber('/proc/sys/fs/nr_open'),
  });
  if (cut.length > 0)
    log.warn({ limits: cut }, 'containers get lower limits than configured: berthd may not give more');
  return rlimits;
}

function kernelNumber(file: string): bigint {
  return BigInt(readFileSync(file, 'utf8').trim());
}
