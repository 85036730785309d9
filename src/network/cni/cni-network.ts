import type { Clock } from '#base/clock';
import type { Ctx } from '#base/ctx';
import { Deadline, raceSignal } from '#base/deadline';
import { BerthError, isBerthError, messageOf } from '#base/errors';
import { shortId } from '#base/ids';
import { Rollback } from '#base/rollback';
import { unattended } from '#base/unattended';
import type { CniConfig } from '#config/slices';
import type { Addon } from '#linux/addon';
import type { Fd } from '#linux/fd';
import { NetnsPool } from '../builtin/netns-pool.ts';
import { parseSubnet } from '../builtin/subnet.ts';
import type { NetworkTimer } from '../network-timer.ts';
import type { NetworkRequest, NetworkStatus, PodNetwork, PodNetworkRecord, RestoredNetwork } from '../pod-network.ts';
import {
  attachmentRecords,
  newAttachment,
  readAttachment,
  type AttachmentRecord,
  type AttachmentRecords,
} from './attachments.ts';
import { capabilitiesOf, cniArgs } from './capabilities.ts';
import { addAll, checkAll, collectGarbage, deleteAll, hasVerbsOf11 } from './chain.ts';
import type { ConfList } from './conf-list.ts';
import { ConfSource } from './conf-source.ts';
import { endOrphans, type OrphanAddon } from './orphans.ts';
import { Plugins, podInterface, type RunProgram } from './plugins.ts';
import { NamespaceFiles } from './pod-netns.ts';
import { hostInterface, podAddresses, type CniResult } from './result.ts';
import { unknownInResult, type UnknownCniFields } from './unknown-fields.ts';

export interface CniNetworkOptions {
  /** For work nobody waits for; its signal ends with the daemon. */
  readonly ctx: Ctx;
  readonly addon: Pick<Addon, 'createNetns' | 'bindNetns' | 'detachMount'> & OrphanAddon;
  readonly run: RunProgram;
  readonly attachments: AttachmentRecords;
  readonly config: CniConfig;
  /** Namespaces kept ready. */
  readonly poolSize: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly timer: NetworkTimer;
  readonly unknownFields: UnknownCniFields;
  /** How often what could not be freed is tried again. */
  readonly retryMs?: number;
  /** How often plugins are told which attachments there are. */
  readonly garbageMs?: number;
}

/** Recovery waits this long for them; then they go on behind it. */
const recoveryMs = 10_000;

/** Pods connected by CNI plugins: specification 1.1, configurations from 0.3.0 on. */
export class CniNetwork implements PodNetwork, AsyncDisposable {
  readonly mode = 'cni';
  readonly #options: CniNetworkOptions;
  readonly #plugins: Plugins;
  readonly #source: ConfSource;
  readonly #files: NamespaceFiles;
  readonly #namespaces: NetnsPool;
  /** Pods whose ADD is under way. */
  readonly #connecting = new Set<string>();
  /** Pods that no record owns and whose DEL failed. */
  readonly #unfreed = new Set<string>();
  #podCidrs: readonly string[] = [];
  /** Those of them that are being freed just now. */
  readonly #freeing = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #tidying = false;
  #garbage: Promise<void> | undefined;
  #garbageAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: CniNetworkOptions) {
    const { ctx, addon, run, config, poolSize, unknownFields } = options;
    const { confDir: directory, binDirs } = config;
    this.#options = options;
    this.#plugins = new Plugins({ run, binDirs, timeoutMs: config.timeoutMs });
    this.#source = new ConfSource({ ctx, plugins: this.#plugins, directory, binDirs, unknownFields });
    this.#files = new NamespaceFiles({ addon, directory: config.netnsDir });
    this.#namespaces = new NetnsPool({ ctx, addon, size: poolSize });
  }

  /** Begins to look for a configuration, and to make namespaces. */
  start(): void {
    this.#source.start();
    this.#namespaces.refill();
  }

  status(): NetworkStatus {
    return this.#source.status();
  }

  /** Reads the configuration anew, as it is done by itself a moment after it changes. */
  refresh(): Promise<void> {
    return this.#source.refresh();
  }

  takeNamespace(ctx: Ctx): Promise<Fd> {
    return this.#namespaces.take(ctx);
  }

  async setUp(ctx: Ctx, request: NetworkRequest): Promise<PodNetworkRecord> {
    const { podId } = request;
    ctx.stage('network');
    ctx.signal.throwIfAborted();
    const list = await this.#currentList(ctx);
    // A plugin that is collecting garbage would take what is being made for some.
    if (this.#garbage !== undefined) await raceSignal(this.#garbage, ctx.signal);
    if (this.#connecting.has(podId) || this.#options.attachments.get(podId) !== undefined) {
      throw new BerthError('ALREADY_EXISTS', `pod ${podId} already has a network`, { details: { podId } });
    }
    this.#connecting.add(podId);
    try {
      return await this.#connect(ctx, request, list);
    } finally {
      this.#connecting.delete(podId);
      this.#namespaces.refill();
    }
  }

  async tearDown(ctx: Ctx, podId: string, record: PodNetworkRecord): Promise<void> {
    if (record.mode !== this.mode) {
      throw new BerthError('INTERNAL', `pod ${podId} has a network of mode ${record.mode}, not ${this.mode}`);
    }
    ctx.stage('network');
    await this.#free(ctx, podId);
  }

  memo(podId: string): string {
    const record = this.#options.attachments.get(podId);
    return record === undefined ? '' : JSON.stringify(record);
  }

  /** Without its memo nothing can be given back to plugins; their GC may find it. */
  async restore(ctx: Ctx, { podId }: RestoredNetwork, memo: string): Promise<void> {
    const { attachments } = this.#options;
    if (attachments.get(podId) !== undefined) return;
    if (memo === '') {
      ctx.log.warn(
        { podId },
        'how plugins connected a pod is lost; only their garbage collection can free its address',
      );
      return;
    }
    const record = attachmentRecords.parse(JSON.parse(memo));
    if (record.podId !== podId) throw new BerthError('STATE_CORRUPT', `the network memo of pod ${podId} is another's`);
    ctx.log.warn({ podId, network: record.network }, 'the attachment of a pod was lost, and is made again');
    await attachments.put(ctx, podId, record);
  }

  async keepOnly(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]> {
    using deadline = new Deadline(recoveryMs, 'freeing networks nobody owns', ctx.signal);
    const freed: string[] = [];
    const lost = this.#lost(podIds);
    const work = async (): Promise<void> => {
      const ids = new Set(lost.map(({ podId }) => podId));
      if (ids.size > 0) await endOrphans(ctx.detach(deadline.signal), this.#options.addon, ids);
      const free = async ({ podId, network }: AttachmentRecord): Promise<void> => {
        if (await this.#freeLater(podId)) freed.push(attachmentText(podId, network));
      };
      await Promise.all(lost.map(free));
    };
    await raceSignal(work(), deadline.signal).catch((error: unknown) => {
      ctx.log.warn({ err: error }, 'networks of pods that are gone are freed in the background');
      // Also those that were not begun with, because a plugin of the berthd before does not end.
      for (const { podId } of lost) if (this.#options.attachments.get(podId) !== undefined) this.#unfreed.add(podId);
    });
    for (const podId of await this.#lostFiles(podIds)) {
      await this.#files.remove(this.#files.pathOf(podId));
      freed.push(this.#fileText(podId));
    }
    this.#garbageAtMs = Number.NEGATIVE_INFINITY;
    this.#plan(0);
    return freed;
  }

  async useSubnets(_ctx: Ctx, cidrs: readonly string[]): Promise<void> {
    const subnets = cidrs.map(parseSubnet);
    if (new Set(subnets.map(({ family }) => family)).size < subnets.length) {
      throw new BerthError('INVALID_ARGUMENT', `more than one subnet of a family: ${cidrs.join(', ')}`);
    }
    if (subnets.length > 0) this.#podCidrs = subnets.map(({ text }) => text);
  }

  async strays(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]> {
    const lost = this.#lost(podIds).map(({ podId, network }) => attachmentText(podId, network));
    const files = (await this.#lostFiles(podIds)).map((podId) => this.#fileText(podId));
    return [...lost, ...files, ...(await this.#damaged(ctx, podIds))];
  }

  /** Frees everything, for a daemon that leaves the machine. What plugins made for the node stays. */
  async removeAll(ctx: Ctx): Promise<void> {
    await this.#end();
    await Promise.all(this.#lost(new Set()).map(({ podId }) => this.#free(ctx, podId)));
  }

  /** Pods keep their network. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#source[Symbol.dispose]();
    await this.#namespaces[Symbol.asyncDispose]();
  }

  /** A configuration may have come since it was looked for last: its first pod does not wait for that. */
  async #currentList(ctx: Ctx): Promise<ConfList> {
    if (this.#source.list === undefined) await raceSignal(this.#source.refresh(), ctx.signal);
    const { list } = this.#source;
    if (list !== undefined) return list;
    throw new BerthError('UNAVAILABLE', `the network is not ready: ${this.#source.status().message}`);
  }

  async #connect(ctx: Ctx, request: NetworkRequest, list: ConfList): Promise<PodNetworkRecord> {
    const { podId, netns } = request;
    const netnsFd = netns.number;
    const file = this.#files.pathOf(podId);
    const record = newAttachment(list, podId, {
      netns: file,
      args: cniArgs(podId, request.pod),
      capabilities: capabilitiesOf(request, this.#podCidrs),
    });
    const rollback = new Rollback();
    let begun = 0;
    rollback.push(`network ${list.name} of pod ${podId}`, (undo) => this.#free(undo, podId, begun));
    try {
      // Written first: whatever happens to berthd from here on, the next one knows what to DEL.
      await this.#options.attachments.put(ctx, podId, record);
      await this.#files.bind(netnsFd, file);
      const result = await this.#add(ctx, record, () => (begun += 1));
      const addresses = podAddresses(result, podInterface);
      if (addresses.length === 0) {
        throw new BerthError('NETWORK_FAILED', `network ${list.name} gave pod ${podId} no address on ${podInterface}`);
      }
      rollback.commit();
      const cni = { network: list.name, result: JSON.stringify(result.value) };
      return { mode: this.mode, addresses, hostInterface: hostInterface(result, podInterface), cni };
    } catch (error) {
      const left = await rollback.rollBack(ctx, this.#options.config.timeoutMs);
      if (left.length > 0) this.#retry(podId);
      throw error;
    }
  }

  /** Each step's result is written down while the next step runs: a DEL finds more to undo with it. */
  async #add(ctx: Ctx, record: AttachmentRecord, begin: () => void): Promise<CniResult> {
    const { attachments, unknownFields } = this.#options;
    const { attachment } = readAttachment(record, record.netns);
    let writing = Promise.resolve();
    let failure: unknown;
    const write = ({ value }: CniResult): void => {
      unknownFields.add({ document: 'result' }, unknownInResult(value));
      const put = (): Promise<void> => attachments.put(ctx, record.podId, { ...record, result: JSON.stringify(value) });
      writing = writing.then(put).catch((error: unknown) => {
        failure = error;
      });
    };
    const result = await addAll(ctx, this.#plugins, attachment, { begin, done: write }).finally(() => writing);
    if (failure !== undefined) throw failure as Error;
    return result;
  }

  /** DEL, then the namespace's file, then the record: what fails leaves the record, and is done again. */
  async #free(ctx: Ctx, podId: string, begun?: number): Promise<void> {
    const { attachments } = this.#options;
    const record = attachments.get(podId);
    const file = record?.netns ?? this.#files.pathOf(podId);
    if (record !== undefined) {
      const netns = (await this.#files.isThere(file)) ? file : '';
      const { attachment, result } = readAttachment(record, netns);
      await deleteAll(ctx, this.#plugins, attachment, { result, begun });
    }
    await this.#files.remove(file);
    await attachments.delete(ctx, podId);
    this.#unfreed.delete(podId);
  }

  /** Frees what no pod owns; a failure is logged, and tried again later. */
  async #freeLater(podId: string): Promise<boolean> {
    const { ctx, config } = this.#options;
    if (this.#freeing.has(podId)) return false;
    this.#freeing.add(podId);
    using deadline = new Deadline(config.timeoutMs, `free the network of pod ${podId}`, ctx.signal);
    try {
      await this.#options.timer.measure('DEL', () => this.#free(ctx.detach(deadline.signal), podId));
      return true;
    } catch (error) {
      ctx.log.warn({ err: error, podId }, 'could not free the network of a pod that is gone; it is tried again');
      this.#retry(podId);
      return false;
    } finally {
      this.#freeing.delete(podId);
    }
  }

  #retry(podId: string): void {
    this.#unfreed.add(podId);
    this.#plan(this.#options.retryMs ?? 30_000);
  }

  #lost(podIds: ReadonlySet<string>): readonly AttachmentRecord[] {
    const all = this.#options.attachments.values();
    return all.filter(({ podId }) => !podIds.has(podId) && !this.#connecting.has(podId));
  }

  /** Files of namespaces that not even an attachment knows. */
  async #lostFiles(podIds: ReadonlySet<string>): Promise<readonly string[]> {
    const { attachments } = this.#options;
    const isKnown = (podId: string): boolean =>
      podIds.has(podId) || this.#connecting.has(podId) || attachments.get(podId) !== undefined;
    return (await this.#files.podIds()).filter((podId) => !isKnown(podId));
  }

  /** Pods whose plugins say that their network is not as it was made (CHECK). */
  async #damaged(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]> {
    const found: string[] = [];
    const whole = this.#options.attachments.values().filter(({ podId, result }) => podIds.has(podId) && result !== '');
    const look = async (record: AttachmentRecord): Promise<void> => {
      const { attachment, result } = readAttachment(record, record.netns);
      if (result === undefined || this.#connecting.has(record.podId)) return;
      try {
        await this.#options.timer.measure('CHECK', () => checkAll(ctx, this.#plugins, attachment, result));
      } catch (error) {
        ctx.signal.throwIfAborted();
        if (this.#options.attachments.get(record.podId) !== record) return;
        // One that crashes (as `bandwidth` 1.1 does without limits) or does not know the verb says nothing of the pod.
        if (!isBerthError(error, 'NETWORK_FAILED') || error.details['pluginCode'] === undefined) return;
        found.push(`damaged ${attachmentText(record.podId, record.network)}: ${messageOf(error)}`);
      }
    };
    await Promise.all(whole.map(look));
    return found;
  }

  #plan(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#closed)
      this.#timer = setTimeout(
        () => unattended(this.#options.ctx.log, 'tidying up networks', this.#tidy()),
        ms,
      ).unref();
  }

  /** Every now and then: frees what could not be freed, and lets plugins collect garbage. Never rejects. */
  async #tidy(): Promise<void> {
    if (this.#tidying) return;
    this.#tidying = true;
    const garbageMs = this.#options.garbageMs ?? 10 * 60_000;
    await Promise.all([...this.#unfreed].map((podId) => this.#freeLater(podId)));
    const { list } = this.#source;
    const due = this.#options.clock.monotonicMs() - this.#garbageAtMs >= garbageMs;
    if (due && list !== undefined && this.#connecting.size === 0 && !this.#closed) {
      this.#garbageAtMs = this.#options.clock.monotonicMs();
      this.#garbage = this.#collect(list);
      await this.#garbage;
      this.#garbage = undefined;
    }
    this.#tidying = false;
    this.#plan(this.#options.retryMs ?? 30_000);
  }

  async #collect(list: ConfList): Promise<void> {
    if (list.disableGC || !hasVerbsOf11(list)) return;
    const { ctx, attachments, config, timer } = this.#options;
    using deadline = new Deadline(config.timeoutMs, `collect garbage of network ${list.name}`, ctx.signal);
    const valid = attachments
      .values()
      .filter(({ network }) => network === list.name)
      .map(({ podId }) => ({ containerID: podId, ifname: podInterface }));
    try {
      await timer.measure('GC', () => collectGarbage(ctx.detach(deadline.signal), this.#plugins, list, valid));
    } catch (error) {
      ctx.log.warn({ err: error, network: list.name }, 'network plugins could not collect their garbage');
    }
  }

  #fileText(podId: string): string {
    return `network namespace ${this.#files.pathOf(podId)}`;
  }
}

function attachmentText(podId: string, network: string): string {
  return `network ${network} of pod ${shortId(podId)}`;
}
