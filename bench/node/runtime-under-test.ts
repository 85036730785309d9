import { setTimeout as sleep } from 'node:timers/promises';
import type { CriClient } from '#cri-api/client';
import { workloadImage } from '../images.ts';
import type { RuntimeName } from '../options.ts';

/** A runtime that runs in the node, ready for pods. */
export interface RuntimeUnderTest {
  readonly name: RuntimeName;
  /** Its version as it says itself. */
  readonly version: string;
  readonly client: CriClient;
  readonly daemonPid: number;
  /** Below the node's own groups: everything it uses is counted here, pods included. */
  readonly group: string;
  /** What pods' configs name as their parent. */
  readonly podParent: string;
  /** Where pods' logs go. */
  readonly logRoot: string;
  /** Milliseconds of each step of a standing pod's making, as the runtime itself counted them. */
  readonly steps?: (podId: string) => Promise<Readonly<Record<string, number>>>;
  /** Ends the daemon in good order (a CPU profile is written then). */
  stop(): Promise<void>;
}

/** Other conditions are advice. */
const required = ['RuntimeReady', 'NetworkReady'];

/** Waits until a runtime says that all of it is ready. */
export async function waitReady(client: CriClient, ms: number): Promise<void> {
  const end = performance.now() + ms;
  for (;;) {
    try {
      const { status } = await client.runtime.status({}, { timeoutMs: 5000 });
      const bad = status?.conditions.find(({ type, status: met }) => required.includes(type) && !met);
      if (bad === undefined) return;
      throw new Error(`${bad.type} is false: ${bad.message}`);
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(50);
    }
  }
}

/** The image must be there before anything is measured; the peer takes note of an import a moment later. */
export async function requireImage(client: CriClient): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { image } = await client.images.imageStatus({ image: { image: workloadImage } });
    if (image !== null) return;
    await sleep(50);
  }
  throw new Error('the image that was loaded is not there');
}

/** Ends a daemon by SIGTERM and waits until it is gone; its pods may live on. */
export async function endDaemon(client: CriClient, pid: number): Promise<void> {
  client.close();
  const end = performance.now() + 20_000;
  try {
    process.kill(pid, 'SIGTERM');
    while (performance.now() < end) {
      process.kill(pid, 0);
      await sleep(20);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw error;
  }
  throw new Error(`process ${pid} does not end`);
}
