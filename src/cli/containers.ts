import { rm } from 'node:fs/promises';
import path from 'node:path';
import { BerthError, messageOf } from '#base/errors';
import { ExitWith, ownFailure } from './failure.ts';
import { findAny, findContainer, type Found } from './find.ts';
import { readLog } from './log-file.ts';
import type { Session } from './session.ts';
import { wholeNumber } from './values.ts';

/** The label of pods that `berth run` made: it removes their logs too. */
export const madeByRun = 'io.berth.run';

// The commands that take pods or containers by id, beginning of an id, or name.

export async function showLogs(session: Session, word: string, options: { readonly follow?: boolean }): Promise<void> {
  const { id } = await findContainer(session.cri, word);
  const status = async () => (await session.cri.runtime.containerStatus({ container_id: id })).status;
  const file = (await status())?.log_path ?? '';
  if (file === '') throw new BerthError('FAILED_PRECONDITION', `container ${word} has no log: its config names none`);
  const ended = async (): Promise<boolean> => (await status())?.state !== 'CONTAINER_RUNNING';
  for await (const { stream, text } of readLog(file, { follow: options.follow === true, ended, pollMs: 100 })) {
    process[stream].write(text);
  }
}

export async function inspect(session: Session, words: readonly string[]): Promise<void> {
  const { runtime } = session.cri;
  for (const word of words) {
    const found = await findAny(session.cri, word);
    const reply =
      found.kind === 'pod'
        ? await runtime.podSandboxStatus({ pod_sandbox_id: found.pod.id, verbose: true })
        : await runtime.containerStatus({ container_id: found.container.id, verbose: true });
    const info = Object.fromEntries(Object.entries(reply.info).map(([key, value]) => [key, parsed(value)]));
    session.print(JSON.stringify({ ...reply, info }, null, 2));
  }
}

/** Verbose information is JSON by custom, but nobody promises it. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

export async function stop(
  session: Session,
  words: readonly string[],
  options: { readonly timeout: string },
): Promise<void> {
  const timeout = wholeNumber('--timeout', options.timeout, 'seconds');
  await each(session, words, async (word) => {
    const found = await findAny(session.cri, word);
    if (found.kind === 'container') {
      const request = { container_id: found.container.id, timeout: String(timeout) };
      await session.cri.runtime.stopContainer(request, { timeoutMs: timeout * 1000 + 30_000 });
    } else {
      await session.cri.runtime.stopPodSandbox({ pod_sandbox_id: found.pod.id });
    }
    session.print(word);
  });
}

/** Removes containers, or pods with all that is in them. The logs of pods that berth itself ran go with them. */
export async function remove(
  session: Session,
  words: readonly string[],
  options: { readonly force?: boolean } = {},
): Promise<void> {
  const { runtime } = session.cri;
  await each(session, words, async (word) => {
    const found = await findAny(session.cri, word);
    if (options.force !== true) await needEnded(session, word, found);
    if (found.kind === 'container') {
      await runtime.removeContainer({ container_id: found.container.id });
    } else {
      const { id, metadata, labels } = found.pod;
      await runtime.removePodSandbox({ pod_sandbox_id: id });
      if (Object.hasOwn(labels, madeByRun) && metadata) {
        const { root } = await session.paths();
        await rm(path.join(root, 'logs', `${metadata.name}_${metadata.uid}`), { recursive: true, force: true });
      }
    }
    session.print(word);
  });
}

/** A pod that nothing runs in holds nobody's work, though it is ready. */
async function needEnded({ cri }: Session, word: string, found: Found): Promise<void> {
  const filter = found.kind === 'pod' ? { pod_sandbox_id: found.pod.id } : { id: found.container.id };
  const { containers } = await cri.runtime.listContainers({ filter });
  const running = containers.filter(({ state }) => state === 'CONTAINER_RUNNING').length;
  if (running === 0) return;
  const what = found.kind === 'pod' ? `${running} of its containers run` : 'it runs';
  throw new BerthError(
    'FAILED_PRECONDITION',
    `${found.kind} ${word} is not removed: ${what}; stop it first (berth stop ${word}), or kill and remove it (berth rm --force ${word})`,
  );
}

export async function removeImages(session: Session, words: readonly string[]): Promise<void> {
  await each(session, words, async (image) => {
    if (image === '')
      throw new BerthError('INVALID_ARGUMENT', 'the image’s name is empty: berth images lists what is there');
    const { image: found } = await session.cri.images.imageStatus({ image: { image } });
    if (!found) throw new BerthError('NOT_FOUND', `no image ${image}: berth images lists what is there`);
    await session.cri.images.removeImage({ image: { image } });
    session.print(image);
  });
}

/** One after another; a failure is told and the rest still done. */
async function each(session: Session, words: readonly string[], run: (word: string) => Promise<void>): Promise<void> {
  let failed = false;
  for (const word of words) {
    try {
      await run(word);
    } catch (error) {
      if (words.length === 1) throw error;
      failed = true;
      session.note(`berth: ${word}: ${messageOf(error)}`);
    }
  }
  if (failed) throw new ExitWith(ownFailure);
}
