import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { Capabilities } from './capabilities.ts';
import type { Attachment } from './chain.ts';
import { isObject, type ConfList } from './conf-list.ts';
import { checkResult, type CniResult } from './result.ts';

/**
 * What a DEL needs, written before the first ADD: the configuration as it was then, whatever the directory says later.
 * Texts are JSON: foreign data, kept as it is.
 */
export interface AttachmentRecord {
  readonly podId: string;
  readonly network: string;
  readonly list: string;
  /** The file that is the pod's namespace. */
  readonly netns: string;
  readonly args: string;
  readonly capabilities: string;
  /** Of the last ADD that succeeded; "" for none. */
  readonly result: string;
}

/** What of a collection of the store is needed. */
export interface AttachmentRecords {
  get(id: string): AttachmentRecord | undefined;
  values(): readonly AttachmentRecord[];
  put(ctx: Ctx, id: string, record: AttachmentRecord): Promise<void>;
  delete(ctx: Ctx, id: string): Promise<void>;
}

const texts = ['podId', 'network', 'list', 'netns', 'args', 'capabilities', 'result'] as const;

/** How attachments are stored. Without fsync: after a power loss a GC or the plugins' own clean-up has to help anyway. */
export const attachmentRecords = {
  kind: 'attachment',
  version: 1,
  sync: false,
  idOf: ({ podId }: AttachmentRecord): string => podId,
  parse: (value: unknown): AttachmentRecord => {
    if (!isObject(value) || !texts.every((name) => typeof value[name] === 'string')) {
      throw new BerthError('STATE_CORRUPT', 'not an attachment to a network');
    }
    const record = value as unknown as AttachmentRecord;
    readAttachment(record, '');
    return record;
  },
} as const;

export function newAttachment(
  list: ConfList,
  podId: string,
  more: { readonly netns: string; readonly args: string; readonly capabilities: Capabilities },
): AttachmentRecord {
  const { netns, args, capabilities } = more;
  return {
    ...{ podId, network: list.name, netns, args, result: '' },
    list: JSON.stringify(list),
    capabilities: JSON.stringify(capabilities),
  };
}

/** @param netns where the namespace is now; "" when it is gone */
export function readAttachment(
  { podId, list, args, capabilities, result }: AttachmentRecord,
  netns: string,
): { readonly attachment: Attachment; readonly result: CniResult | undefined } {
  const conf = JSON.parse(list) as ConfList;
  return {
    attachment: {
      list: conf,
      capabilities: JSON.parse(capabilities) as Capabilities,
      target: { containerId: podId, netns, args },
    },
    result: result === '' ? undefined : checkResult(JSON.parse(result), conf.cniVersion),
  };
}
