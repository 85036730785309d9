import type { RequestField } from './request-fields.ts';

type Message = Record<string, unknown>;

/** A copy of a message in which a field has this value; messages and list entries on the way are made where there are none. */
export function withField<T extends object>(message: T, { path }: Pick<RequestField, 'path'>, value: unknown): T {
  return set(message as Message, path.split('.'), value) as T;
}

function set(message: Message, [step = '', ...rest]: readonly string[], value: unknown): Message {
  const name = step.replace(/\[\]$/, '');
  if (rest.length === 0) return { ...message, [name]: value };
  if (name === step) return { ...message, [name]: set((message[name] ?? {}) as Message, rest, value) };
  const entries = (message[name] ?? []) as readonly Message[];
  return { ...message, [name]: (entries.length > 0 ? entries : [{}]).map((entry) => set(entry, rest, value)) };
}

/** A decoded message as if nothing had been sent in that field, in every list entry; what is not there stays so. */
export function withoutField<T extends object>(
  message: T,
  { path, nothing }: Pick<RequestField, 'path' | 'nothing'>,
): T {
  return unset(message as Message, path.split('.'), nothing) as T;
}

function unset(message: Message, [step = '', ...rest]: readonly string[], nothing: unknown): Message {
  const name = step.replace(/\[\]$/, '');
  if (rest.length === 0) return { ...message, [name]: nothing };
  const here = message[name];
  const below = (one: unknown): unknown => (one ? unset(one as Message, rest, nothing) : one);
  return { ...message, [name]: Array.isArray(here) ? here.map(below) : below(here) };
}
