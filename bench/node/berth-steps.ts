import { request } from 'node:http';

interface Step {
  readonly step: string;
  readonly ms: number;
}

interface PodSteps {
  readonly id: string;
  readonly steps: readonly Step[];
  readonly containers: readonly { readonly steps: readonly Step[] }[];
}

/** What berthd's admin socket says about the making of a pod: "pod runtime", "container prepare". */
export async function berthSteps(adminSocket: string, podId: string): Promise<Readonly<Record<string, number>>> {
  const { pods } = JSON.parse(await get(adminSocket, '/pods')) as { readonly pods: readonly PodSteps[] };
  const pod = pods.find(({ id }) => id === podId);
  const named = [
    ...(pod?.steps ?? []).map(({ step, ms }) => [`pod ${step}`, ms] as const),
    ...(pod?.containers ?? []).flatMap(({ steps }) => steps.map(({ step, ms }) => [`container ${step}`, ms] as const)),
  ];
  return Object.fromEntries(named);
}

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks).toString()));
    });
    sent.on('error', reject);
    sent.end();
  });
}
