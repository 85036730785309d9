import type { RuntimeServiceDefinition } from '#cri-api/gen/runtime/v1/RuntimeService';
import {
  checkedContainerConfig,
  checkedPodConfig,
  type ContainerIdentity,
  type IdentityCodec,
  type PodIdentity,
} from '#sandbox/identity';

/** Identities as the bytes of the requests they came in: what is stored is the protocol's own form. */
export class RequestCodec implements IdentityCodec {
  readonly #calls: Pick<RuntimeServiceDefinition, 'RunPodSandbox' | 'CreateContainer'>;

  constructor(calls: Pick<RuntimeServiceDefinition, 'RunPodSandbox' | 'CreateContainer'>) {
    this.#calls = calls;
  }

  encodePod({ config, runtimeHandler }: PodIdentity): Buffer {
    return this.#calls.RunPodSandbox.requestSerialize({ config, runtime_handler: runtimeHandler });
  }

  decodePod(bytes: Buffer): PodIdentity {
    const request = this.#calls.RunPodSandbox.requestDeserialize(bytes);
    return { config: checkedPodConfig(request.config), runtimeHandler: request.runtime_handler };
  }

  /** The pod's config, which the request repeats, is left out: the pod's own record has it. */
  encodeContainer({ podId, config }: ContainerIdentity): Buffer {
    return this.#calls.CreateContainer.requestSerialize({ pod_sandbox_id: podId, config });
  }

  decodeContainer(bytes: Buffer): ContainerIdentity {
    const request = this.#calls.CreateContainer.requestDeserialize(bytes);
    return { podId: request.pod_sandbox_id, config: checkedContainerConfig(request.config) };
  }
}
