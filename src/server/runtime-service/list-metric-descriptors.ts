import type { ListMetricDescriptorsRequest__Output } from '#cri-api/gen/runtime/v1/ListMetricDescriptorsRequest';
import type { ListMetricDescriptorsResponse } from '#cri-api/gen/runtime/v1/ListMetricDescriptorsResponse';
import type { UnaryHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { metricDescriptors } from '../to-cri/metrics.ts';

export const listMetricDescriptors: UnaryHandler<
  ListMetricDescriptorsRequest__Output,
  ListMetricDescriptorsResponse,
  RuntimeServiceDeps
> = () => ({ descriptors: [...metricDescriptors] });
