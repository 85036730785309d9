import type { z } from 'zod';
import { configSchema } from './schema.ts';
import { isLive, keyNotes } from './values.ts';

export type DefaultValue = string | number | boolean | readonly string[];

/** One key as docs/config.md and `berth` show it. */
export interface KeyDescription {
  readonly key: string;
  readonly type: string;
  readonly default: DefaultValue;
  readonly meaning: string;
  /** Whether a reload takes it over; else it needs a restart. */
  readonly live: boolean;
}

export interface GroupDescription {
  /** "" for the keys of the top. */
  readonly group: string;
  readonly meaning: string;
  readonly keys: readonly KeyDescription[];
}

/** Every key of the schema, by table. */
export function describeConfig(): readonly GroupDescription[] {
  const top: KeyDescription[] = [];
  const groups: GroupDescription[] = [];
  for (const [name, field] of Object.entries(configSchema.shape)) {
    const inner = unwrap(field);
    if (inner.def.type === 'object') {
      const { shape } = inner as z.ZodObject;
      const keys = Object.entries(shape).map(([key, value]) => describeKey(key, value as z.ZodType));
      groups.push({ group: name, meaning: field.description ?? '', keys });
    } else {
      top.push(describeKey(name, field));
    }
  }
  return [{ group: '', meaning: 'Where Berth keeps its state, and its sockets.', keys: top }, ...groups];
}

function describeKey(key: string, field: z.ZodType): KeyDescription {
  const note = noteOf(unwrap(field));
  const values = note?.values?.map((value) => JSON.stringify(value)).join(', ');
  return {
    key,
    type: values ?? note?.type ?? 'string',
    default: (field as z.ZodDefault).def.defaultValue as DefaultValue,
    meaning: field.description ?? '',
    live: isLive(field),
  };
}

function unwrap(field: z.ZodType): z.ZodType {
  const { def } = field as z.ZodDefault;
  const type: string = def.type;
  return type === 'default' || type === 'prefault' ? unwrap(def.innerType as z.ZodType) : field;
}

function noteOf(field: z.ZodType): { readonly type: string; readonly values?: readonly string[] } | undefined {
  if (field.def.type === 'union') {
    return (field as z.ZodUnion<z.ZodType[]>).options.map(noteOf).find((note) => note !== undefined);
  }
  return keyNotes.get(field);
}
