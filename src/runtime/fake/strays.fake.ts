import type { FakeMachine } from '../machine.fake.ts';
import type { Known, Stray } from '../runtime.ts';

const killed = { signal: 9 };

/** As Runtime.strays, below the parent of `/berth/` and where a shim or an id tells that something is Berth's. */
export function fakeStrays(machine: FakeMachine, { isPod, isContainer, formerIds }: Known): readonly Stray[] {
  const { pods, documents, groups } = machine;
  const lost = new Set([...pods.keys(), ...documents.keys()].filter((id) => !isPod(id)));
  const ofNobody = [...groups].filter(
    ([id, { podId, path }]) => !isContainer(id) && (path.startsWith('/berth/') || formerIds.has(id) || pods.has(podId)),
  );
  const written = [...documents].filter(([podId]) => isPod(podId));
  return [
    ...ofNobody.map(([id, { path, living }]): Stray => ({
      text: `container cgroup ${path}`,
      ...(living && { living: id }),
      end: async () => {
        machine.exit(id, 137, killed);
        groups.delete(id);
      },
    })),
    ...[...lost].map((id): Stray => ({
      text: `shim or directory of pod ${id}`,
      ...(pods.has(id) && { living: id }),
      end: async () => {
        machine.endPod(id);
        documents.delete(id);
      },
    })),
    ...written.flatMap(([podId, { containers }]) =>
      [...containers.keys()]
        .filter((id) => !isContainer(id))
        .map((id): Stray => ({
          text: `document of container ${id} in ${podId}`,
          end: async () => void containers.delete(id),
        })),
    ),
  ];
}
