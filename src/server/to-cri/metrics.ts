import type { ContainerMetrics } from '#cri-api/gen/runtime/v1/ContainerMetrics';
import type { Metric } from '#cri-api/gen/runtime/v1/Metric';
import type { MetricDescriptor } from '#cri-api/gen/runtime/v1/MetricDescriptor';
import type { PodSandboxMetrics } from '#cri-api/gen/runtime/v1/PodSandboxMetrics';
import type { Container, Pod } from '#sandbox/pod';
import type { StatsSampler } from '#sandbox/stats-sampler';
import { toInt64 } from '../safe-int.ts';
import { containerMetrics, podMetrics } from './metric-table.ts';

/** Labels of every metric, as cadvisor has them: control group, id, image, and the names of Kubernetes. */
const commonKeys = ['id', 'name', 'image', 'namespace', 'pod', 'container'];

export const metricDescriptors: readonly MetricDescriptor[] = [...containerMetrics, ...podMetrics].map(
  ({ name, help, labels }) => ({ name, help, label_keys: [...commonKeys, ...labels] }),
);

/** All metrics of a pod and its running containers, as of the last sample with detail. */
export function toCriPodMetrics(pod: Pod, stats: StatsSampler): PodSandboxMetrics {
  const running = pod.listed.filter(({ status }) => status.state === 'running');
  return {
    pod_sandbox_id: pod.id,
    metrics: networkMetrics(pod, stats),
    container_metrics: running.flatMap((container) => containerMetricsOf(pod, container, stats)),
  };
}

function networkMetrics(pod: Pod, stats: StatsSampler): Metric[] {
  const found = stats.pod(pod.id);
  const { network } = found ?? {};
  if (!network) return [];
  const { metadata, linux } = pod.identity.config;
  const common = [linux?.cgroup_parent ?? '', pod.id, '', metadata.namespace, metadata.name, 'POD'];
  const timestamp = toInt64(found?.atNs ?? 0n);
  return podMetrics.flatMap(({ name, type, read }) =>
    read(network).map(({ value, labels = [] }) => toMetric(name, type, timestamp, [...common, ...labels], value)),
  );
}

function containerMetricsOf(pod: Pod, container: Container, stats: StatsSampler): ContainerMetrics[] {
  const { id, made, identity } = container;
  const detailed = stats.detailed(id);
  if (!detailed?.group) return [];
  const { metadata } = pod.identity.config;
  const { image, metadata: own } = identity.config;
  const named = image?.user_specified_image || image?.image || '';
  const common = [made.cgroupPath, id, named, metadata.namespace, metadata.name, own.name];
  const timestamp = toInt64(detailed.atNs);
  const { filesystem } = stats;
  const subject = { container, stats: detailed, layer: stats.layer(id), filesystem, deviceName: stats.deviceName };
  const metrics = containerMetrics.flatMap(({ name, type, read }) =>
    read(subject).map(({ value, labels = [] }) => toMetric(name, type, timestamp, [...common, ...labels], value)),
  );
  return [{ container_id: id, metrics }];
}

function toMetric(
  name: string,
  type: NonNullable<Metric['metric_type']>,
  timestamp: string,
  labels: string[],
  value: bigint,
): Metric {
  return { name, timestamp, metric_type: type, label_values: labels, value: { value: value.toString() } };
}
