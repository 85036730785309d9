import { createCtx } from '#base/ctx';
import type { PodInput } from '#runtime/container-input';
import { v2Writes } from '#runtime/cgroup/v2-writes';
import type { FakeContainer } from '#runtime/machine.fake';
import { compilePlan } from '#runtime/plan/compile-plan';
import type { ContainerPlan } from '#runtime/shim/gen/berth/shim/ContainerPlan';
import { buildSpec } from '#runtime/spec/build-spec';
import { capabilityNames } from '#runtime/spec/capabilities';
import type { LinuxResources, OciSpec } from '#runtime/spec/oci';
import type { CriUnderTest } from './cri-under-test.fixture.ts';

/** What the runtime was asked for, down to what it would have told the shim and written into control groups. */
export interface ContainerAsked {
  readonly container: FakeContainer;
  readonly input: FakeContainer['input'];
  readonly spec: OciSpec;
  readonly plan: ContainerPlan;
  /** Files of the control group, with what is written into them. */
  readonly limits: Readonly<Record<string, string>>;
}

export async function askedOf({ sandboxes }: CriUnderTest, id: string): Promise<ContainerAsked> {
  const container = sandboxes.runtime.container(id);
  if (!container) throw new Error(`the runtime knows no container ${id}`);
  const { input } = container;
  const { spec } = await buildSpec(createCtx(), input, {
    heldCapabilities: new Set(capabilityNames),
    architectures: [],
    rlimits: [],
    namespacePath: (pid, name) => `/proc/${pid}/ns/${name}`,
    pausePid: 1,
    targetPid: 2,
  });
  const cgroup = { path: input.cgroupPath, enter: [], killDir: '', killDirV2: true, oomFile: '', warnings: [] };
  const plan = compilePlan({ spec, rootfs: input.rootfs, cgroup, seccomp: undefined });
  return { container, input, spec, plan, limits: filesOf(spec.linux.resources) };
}

export function filesOf(resources: LinuxResources): Readonly<Record<string, string>> {
  return Object.fromEntries(v2Writes(resources).map(({ file, data }) => [file, data]));
}

export function podAsked({ sandboxes }: CriUnderTest, id: string): PodInput {
  const pod = sandboxes.node.machine.pods.get(id);
  if (!pod) throw new Error(`the runtime knows no pod ${id}`);
  return pod.input;
}
