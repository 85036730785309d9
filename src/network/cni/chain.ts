import type { Ctx } from '#base/ctx';
import { BerthError, messageOf } from '#base/errors';
import { runtimeConfigFor, type Capabilities } from './capabilities.ts';
import { atLeast, type ConfList, type PluginConf } from './conf-list.ts';
import { fieldsOfRuntime } from './fields.ts';
import { knowsNothingOf, type CallTarget, type Plugins } from './plugins.ts';
import { inFormOf } from './result-forms.ts';
import { checkResult, type CniResult } from './result.ts';

/** One pod on one network: what every verb about it is given. */
export interface Attachment {
  readonly list: ConfList;
  readonly target: CallTarget;
  readonly capabilities: Capabilities;
}

/**
 * ADD, in the list's order, each plugin with the result of the one before.
 *
 * @param progress is told of each plugin when it begins, and when it has ended with a result
 * @throws as Plugins.call, NETWORK_FAILED for a result that cannot be. What was begun is the caller's to DEL.
 */
export async function addAll(
  ctx: Ctx,
  plugins: Plugins,
  attachment: Attachment,
  progress: { readonly begin: () => void; readonly done: (result: CniResult) => void },
): Promise<CniResult> {
  const { list, target } = attachment;
  // One that is missing is found out before there is anything to undo.
  for (const { type } of list.plugins) await plugins.find(type);
  let result: CniResult | undefined;
  for (const plugin of list.plugins) {
    const conf = pluginConf(list, plugin, attachment.capabilities, result);
    progress.begin();
    const read = (printed: unknown): CniResult => checkResult(printed, list.cniVersion);
    result = await plugins.call(ctx, { type: plugin.type, verb: 'ADD', conf, target }, read);
    progress.done(result);
  }
  if (result === undefined) throw new BerthError('INTERNAL', `network ${list.name} has no plugins`);
  return result;
}

/**
 * DEL, in reverse. Ends with the first failure: what the other plugins would free may still be in use.
 *
 * @param known `result` of the ADD, and how many plugins it had `begun` with: all of them when nobody knows
 */
export async function deleteAll(
  ctx: Ctx,
  plugins: Plugins,
  attachment: Attachment,
  known: { readonly result: CniResult | undefined; readonly begun: number | undefined },
): Promise<void> {
  const { list, target } = attachment;
  const result = atLeast(list.cniVersion, '0.4.0') ? known.result : undefined;
  for (const plugin of list.plugins.slice(0, known.begun).toReversed()) {
    const conf = pluginConf(list, plugin, attachment.capabilities, result);
    try {
      await plugins.call(ctx, { type: plugin.type, verb: 'DEL', conf, target }, ignored);
    } catch (error) {
      if (!knowsNothingOf(error)) throw error;
    }
  }
}

/** Whether the network of a pod is as ADD left it. Lists that are older than CHECK, or refuse it, are taken for sound. */
export async function checkAll(ctx: Ctx, plugins: Plugins, attachment: Attachment, result: CniResult): Promise<void> {
  const { list, target } = attachment;
  if (list.disableCheck || !atLeast(list.cniVersion, '0.4.0')) return;
  for (const plugin of list.plugins) {
    const conf = pluginConf(list, plugin, attachment.capabilities, result);
    await plugins.call(ctx, { type: plugin.type, verb: 'CHECK', conf, target }, ignored);
  }
}

/** Whether the list's verbs include STATUS and GC. */
export function hasVerbsOf11(list: ConfList): boolean {
  return atLeast(list.cniVersion, '1.1.0');
}

/** STATUS: resolves when every plugin could make a pod's network now. */
export async function askStatus(ctx: Ctx, plugins: Plugins, list: ConfList): Promise<void> {
  for (const plugin of list.plugins) {
    await plugins.call(ctx, { type: plugin.type, verb: 'STATUS', conf: pluginConf(list, plugin, {}) }, ignored);
  }
}

/** GC: plugins forget attachments that are none of these. All plugins are asked; their failures come in one error. */
export async function collectGarbage(
  ctx: Ctx,
  plugins: Plugins,
  list: ConfList,
  valid: readonly { readonly containerID: string; readonly ifname: string }[],
): Promise<void> {
  const failures: string[] = [];
  for (const plugin of list.plugins) {
    const conf = { ...pluginConf(list, plugin, {}), 'cni.dev/valid-attachments': valid };
    try {
      await plugins.call(ctx, { type: plugin.type, verb: 'GC', conf }, ignored);
    } catch (error) {
      ctx.signal.throwIfAborted();
      failures.push(messageOf(error));
    }
  }
  if (failures.length > 0) throw new BerthError('NETWORK_FAILED', failures.join('; '));
}

/** What the plugin reads: its own keys, and those that are the runtime's to set (CNI specification, section 4). */
function pluginConf(
  list: ConfList,
  plugin: PluginConf,
  capabilities: Capabilities,
  result?: CniResult,
): Record<string, unknown> {
  const own = Object.entries(plugin).filter(([key]) => !fieldsOfRuntime.has(key) && !key.startsWith('cni.dev/'));
  const runtimeConfig = runtimeConfigFor(plugin, capabilities);
  return {
    ...Object.fromEntries(own),
    name: list.name,
    cniVersion: list.cniVersion,
    ...(runtimeConfig && { runtimeConfig }),
    ...(result && { prevResult: inFormOf(list.cniVersion, result.value) }),
  };
}

const ignored = (): void => undefined;
