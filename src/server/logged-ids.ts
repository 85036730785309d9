import type { LogFields } from '#base/log';

const longest = 256;

function text(message: object, key: string): string | undefined {
  const value: unknown = Object.hasOwn(message, key) ? (message as Record<string, unknown>)[key] : undefined;
  return typeof value === 'string' && value !== '' ? value.slice(0, longest) : undefined;
}

function inner(message: object, key: string): object {
  const value: unknown = Object.hasOwn(message, key) ? (message as Record<string, unknown>)[key] : undefined;
  return typeof value === 'object' && value !== null ? value : {};
}

/** Which pod, container or image a request or its answer is about, for the log line. */
export function loggedIds(message: object): LogFields {
  const metadata = inner(inner(message, 'config'), 'metadata');
  const name = text(metadata, 'name');
  const namespace = text(metadata, 'namespace');
  const fields = {
    podId: text(message, 'pod_sandbox_id'),
    containerId: text(message, 'container_id'),
    image: text(inner(message, 'image'), 'image'),
    imageRef: text(message, 'image_ref'),
    name: namespace === undefined ? name : `${namespace}/${name ?? ''}`,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
