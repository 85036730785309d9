import { KnownFields, type FieldTree } from '#base/field-tree';
import type { CounterMetric, Metrics } from '#base/metrics';
import { capabilityFields, configurationFields } from './fields.ts';

// Fields that nobody here knows are accepted, because newer plugins and administrators have more of them, and counted.

const named = (...names: readonly string[]): FieldTree => Object.fromEntries(names.map((name) => [name, null]));

/** What a list has besides its plugins, whose own keys are theirs: they are handed on. */
const knownConfigurationFields = new KnownFields(named(...configurationFields.map(({ field }) => field)));

/** Of a plugin's `capabilities`: a plugin that declares another one is told nothing for it. */
const knownCapabilities = new KnownFields(named(...capabilityFields.map(({ field }) => field)));

const routes = named('dst', 'gw', 'mtu', 'advmss', 'priority', 'table', 'scope');

/** Of a result in any of its forms (CNI specification, section 5; the older ones: 0.1.0 to 0.4.0). */
const knownResultFields = new KnownFields({
  cniVersion: null,
  'interfaces[]': named('name', 'mac', 'mtu', 'sandbox', 'socketPath', 'pciID'),
  'ips[]': named('address', 'gateway', 'interface', 'version'),
  'routes[]': routes,
  dns: named('nameservers', 'domain', 'search', 'options'),
  ip4: { ...named('ip', 'gateway'), 'routes[]': routes },
  ip6: { ...named('ip', 'gateway'), 'routes[]': routes },
});

/** Whether a file is a plugin that stands for a list of itself. CNI 1.1: a list may have all its plugins in files of their own. */
export function isOnePlugin(file: Readonly<Record<string, unknown>>): boolean {
  return 'type' in file && !('plugins' in file);
}

/** Of a network configuration, and what all its plugins declare. */
export function unknownInConfiguration(
  file: Readonly<Record<string, unknown>>,
  plugins: readonly Readonly<Record<string, unknown>>[],
): number {
  // One plugin that stands for itself has only keys of its own.
  const above = isOnePlugin(file) ? 0 : knownConfigurationFields.countUnknown(file);
  return above + knownCapabilities.countUnknown(plugins.map(({ capabilities }) => capabilities));
}

export function unknownInResult(value: unknown): number {
  return knownResultFields.countUnknown(value);
}

export type UnknownCniFields = CounterMetric<'document'>;

/** By document: `configuration`, each time that another one comes into force, and `result`, each that an ADD prints. */
export function unknownFieldsMetric(metrics: Metrics): UnknownCniFields {
  const help = 'Fields of network configurations and of what plugins print that this version does not know.';
  return metrics.counter('cni_unknown_fields_total', help, ['document']);
}
