import { randomUUID } from 'node:crypto';
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { sleep } from '#base/deadline';
import { BerthError, errnoOf, isBerthError, messageOf } from '#base/errors';
import { makeDirectories } from '#base/make-directories';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { ContainerStatus__Output } from '#cri-api/gen/runtime/v1/ContainerStatus';
import type { PodSandboxConfig } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import { cannotStart } from './cannot-run.ts';
import { madeByRun } from './containers.ts';
import { ExitWith } from './failure.ts';
import { readLog } from './log-file.ts';
import { pull } from './pull.ts';
import type { Session } from './session.ts';
import { StopWatch } from './stop-watch.ts';
import { shown } from './values.ts';

export interface RunOptions {
  readonly name?: string;
  readonly net: string;
  readonly env: readonly string[];
  readonly volume: readonly string[];
  readonly user?: string;
  readonly workdir?: string;
  readonly rm?: boolean;
  readonly detach?: boolean;
  readonly time?: boolean;
}

/** A pod with one container, made through the CRI as a kubelet makes it. */
interface RunningPod {
  readonly podId: string;
  readonly containerId: string;
  readonly logDirectory: string;
  readonly logFile: string;
}

const stopGraceS = 10;

/** Runs an image in a pod of its own and gives the container's output and exit code. */
export async function runImage(
  session: Session,
  image: string,
  command: readonly string[],
  options: RunOptions,
): Promise<void> {
  const watch = new StopWatch();
  if (options.name !== undefined) checkName(options.name);
  if (options.workdir !== undefined) checkWorkdir(options.workdir);
  for (const volume of options.volume) await needSource(volume);
  await watch.step('image', () => needImage(session, image));
  const container = containerConfig(image, command, options);
  if (options.name !== undefined) await needFreeName(session, options.name);
  const name = options.name ?? `run-${randomUUID().slice(0, 8)}`;
  const pod = await podConfig(session, name, options);
  const running = await start(session, watch, pod, container);
  if (options.detach) {
    session.print(running.containerId);
    if (options.time) session.note(watch.toString());
    return;
  }
  const status = await watch.step('container runs', () => followToEnd(session, running));
  if (options.rm) await watch.step('remove', () => remove(session, running));
  if (options.time) session.note(watch.toString());
  if (status.reason !== '' && status.exit_code !== 0 && status.reason !== 'Error') {
    session.note(`berth: the container ended: ${status.reason}${status.message && `: ${status.message}`}`);
  }
  throw new ExitWith(status.exit_code & 0xff);
}

/** What is here will do; what is not is pulled. */
async function needImage(session: Session, image: string): Promise<void> {
  const { image: found } = await session.cri.images.imageStatus({ image: { image } });
  if (found) return;
  try {
    await pull(session, { reference: image });
  } catch (error) {
    const code = isBerthError(error) ? error.code : 'INTERNAL';
    throw new BerthError(code, `image ${image} is not here, and to pull it failed: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** It is the pod's host name as well, and part of the name of a directory. */
export function checkName(name: string): void {
  if (/^[a-z0-9][a-z0-9_.-]{0,62}$/i.test(name)) return;
  throw new BerthError(
    'INVALID_ARGUMENT',
    `--name ${shown(name)}: expected 1 to 63 letters, digits, "-", "_" and ".", beginning with a letter or digit`,
  );
}

function checkWorkdir(workdir: string): void {
  if (path.isAbsolute(workdir)) return;
  throw new BerthError('INVALID_ARGUMENT', `--workdir ${workdir}: expected an absolute path in the container`);
}

/** A kubelet's missing directories are made; the missing one of somebody who types is most often a mistake. */
async function needSource(volume: string): Promise<void> {
  const { host_path: source } = parseVolume(volume);
  try {
    await stat(source);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const missing = errno === 'ENOENT' || errno === 'ENOTDIR';
    throw new BerthError(
      missing ? 'NOT_FOUND' : 'INVALID_ARGUMENT',
      missing
        ? `--volume ${volume}: ${source} is not there: mend the path, or make it first (mkdir -p ${source})`
        : `--volume ${volume}: ${source} cannot be looked at (${errno})`,
    );
  }
}

/** Every run is a pod of its own to berthd; two of one name would be nothing but trouble for whoever names them later. */
async function needFreeName(session: Session, name: string): Promise<void> {
  const { items } = await session.cri.runtime.listPodSandbox({ filter: { label_selector: { [madeByRun]: 'true' } } });
  if (!items.some(({ metadata }) => metadata?.name === name)) return;
  throw new BerthError(
    'ALREADY_EXISTS',
    `a pod ${name} is there: remove it (berth rm ${name}, with --force while it runs), or take another name`,
  );
}

async function podConfig(session: Session, name: string, options: RunOptions): Promise<PodSandboxConfig> {
  if (options.net !== 'pod' && options.net !== 'host') {
    throw new BerthError('INVALID_ARGUMENT', `--net ${options.net}: expected "pod" or "host"`);
  }
  const uid = randomUUID();
  const { root } = await session.paths();
  const logDirectory = path.join(root, 'logs', `${name}_${uid}`);
  await makeDirectories(logDirectory, 0o755);
  return {
    metadata: { name, namespace: 'default', uid, attempt: 0 },
    hostname: options.net === 'host' ? '' : name,
    log_directory: logDirectory,
    labels: { [madeByRun]: 'true' },
    linux: {
      security_context: {
        namespace_options: { network: options.net === 'host' ? 'NODE' : 'POD', pid: 'CONTAINER', ipc: 'POD' },
        seccomp: { profile_type: 'RuntimeDefault' },
      },
    },
  };
}

function containerConfig(image: string, command: readonly string[], options: RunOptions): ContainerConfig {
  const [first, ...args] = command;
  return {
    metadata: { name: 'main', attempt: 0 },
    image: { image },
    ...(first === undefined ? {} : { command: [first], args }),
    working_dir: options.workdir ?? '',
    envs: options.env.map((text) => parseEnv(text)),
    mounts: options.volume.map(parseVolume),
    log_path: 'main.log',
    linux: { security_context: { ...parseUser(options.user), seccomp: { profile_type: 'RuntimeDefault' } } },
  };
}

/** NAME=VALUE, or NAME for the value it has here. The value is bytes. */
export function parseEnv(text: string, here: NodeJS.ProcessEnv = process.env): { key: string; value: Buffer } {
  const equals = text.indexOf('=');
  if (equals === 0 || text === '')
    throw new BerthError('INVALID_ARGUMENT', `--env ${text}: expected NAME=VALUE or NAME`);
  if (equals < 0) {
    const value = here[text];
    if (value !== undefined) return { key: text, value: Buffer.from(value) };
    const name = shown(text);
    throw new BerthError('INVALID_ARGUMENT', `--env ${name}: ${name} is not set here: say what it is (${name}=VALUE)`);
  }
  return { key: text.slice(0, equals), value: Buffer.from(text.slice(equals + 1)) };
}

const propagations = {
  rprivate: 'PROPAGATION_PRIVATE',
  rslave: 'PROPAGATION_HOST_TO_CONTAINER',
  rshared: 'PROPAGATION_BIDIRECTIONAL',
} as const;

/** What a volume may be followed by, as the help and the errors have it. */
export const volumeOptions = ['ro', 'rw', ...Object.keys(propagations)].join(', ');

/** SOURCE:TARGET, and options of volumeOptions with commas between. */
export function parseVolume(text: string): {
  host_path: string;
  container_path: string;
  readonly: boolean;
  propagation: (typeof propagations)[keyof typeof propagations];
} {
  const [source = '', target = '', flags = '', more] = text.split(':');
  const words = flags.split(',').filter(Boolean);
  const propagation = words.find((word) => Object.hasOwn(propagations, word)) as keyof typeof propagations | undefined;
  const unknown = words.find((word) => word !== 'ro' && word !== 'rw' && word !== propagation);
  if (!path.isAbsolute(source) || !path.isAbsolute(target) || unknown !== undefined || more !== undefined) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `--volume ${text}: expected /SOURCE:/TARGET[:OPTIONS], OPTIONS of ${volumeOptions}${unknown === undefined ? '' : `, not ${unknown}`}`,
    );
  }
  return {
    host_path: source,
    container_path: target,
    readonly: words.includes('ro'),
    propagation: propagations[propagation ?? 'rprivate'],
  };
}

/** A number with an optional group's, or a name. */
export function parseUser(text: string | undefined): {
  run_as_user?: { value: string };
  run_as_group?: { value: string };
  run_as_username?: string;
} {
  if (text === undefined) return {};
  const match = /^([0-9]+)(?::([0-9]+))?$/.exec(text);
  if (text === '' || (match?.[1] === undefined && text.includes(':'))) {
    throw new BerthError('INVALID_ARGUMENT', `--user ${text}: expected NAME, UID or UID:GID`);
  }
  if (match?.[1] === undefined) return { run_as_username: text };
  return { run_as_user: { value: match[1] }, ...(match[2] === undefined ? {} : { run_as_group: { value: match[2] } }) };
}

async function start(
  session: Session,
  watch: StopWatch,
  pod: PodSandboxConfig,
  config: ContainerConfig,
): Promise<RunningPod> {
  const { runtime } = session.cri;
  const logDirectory = pod.log_directory ?? '';
  let podId: string | undefined;
  try {
    const run = await watch.step('RunPodSandbox', () => runtime.runPodSandbox({ config: pod }, { timeoutMs: 130_000 }));
    const pod_sandbox_id = (podId = run.pod_sandbox_id);
    const request = { pod_sandbox_id, config, sandbox_config: pod };
    const { container_id } = await watch.step('CreateContainer', () =>
      runtime.createContainer(request, { timeoutMs: 130_000 }),
    );
    await watch
      .step('StartContainer', () => runtime.startContainer({ container_id }))
      .catch((error: unknown) => failedStart(session, container_id, config, error));
    const logFile = path.join(logDirectory, config.log_path ?? '');
    return { podId: pod_sandbox_id, containerId: container_id, logDirectory, logFile };
  } catch (error) {
    // A pod that never ran anything is of no use to anybody.
    if (podId !== undefined) await runtime.removePodSandbox({ pod_sandbox_id: podId }).catch(() => undefined);
    await rm(logDirectory, { recursive: true, force: true });
    throw error;
  }
}

/** A command that is not there, or is no program, ends with the code a shell gives it; what else failed is passed on. */
async function failedStart(session: Session, id: string, config: ContainerConfig, error: unknown): Promise<never> {
  const reply = await session.cri.runtime.containerStatus({ container_id: id }).catch(() => undefined);
  return cannotStart(session, config.command?.[0] ?? 'of the image', reply?.status?.exit_code, error);
}

/** Copies the container's output until it has ended; the first interrupt stops it, the second kills it. */
async function followToEnd(session: Session, running: RunningPod): Promise<ContainerStatus__Output> {
  const { runtime } = session.cri;
  let interrupts = 0;
  const onSignal = (): void => {
    interrupts += 1;
    const timeout = interrupts === 1 ? stopGraceS : 0;
    if (interrupts === 1) session.note('berth: stopping the container; again to kill it');
    runtime.stopContainer({ container_id: running.containerId, timeout }).catch(() => undefined);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const status = waitExited(session, running.containerId);
    let exited = false;
    const ended = status.then(() => (exited = true));
    ended.catch(() => undefined);
    for await (const { stream, text } of readLog(running.logFile, {
      follow: true,
      ended: () => exited || failed(ended),
    })) {
      process[stream].write(text);
    }
    return await status;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** Lets a failure of the status reach the follower: rejects when it has failed, else false at once. */
async function failed(status: Promise<unknown>): Promise<boolean> {
  await Promise.race([status, Promise.resolve()]);
  return false;
}

/** Asks more and more seldom, so that a short command is seen at once and a long one costs nothing. */
export async function waitExited(session: Session, id: string): Promise<ContainerStatus__Output> {
  for (let pause = 10; ; pause = Math.min(pause * 1.2, 250)) {
    const { status } = await session.cri.runtime.containerStatus({ container_id: id });
    if (!status) throw new BerthError('NOT_FOUND', `container ${id} was removed`);
    if (status.state === 'CONTAINER_EXITED') return status;
    await sleep(pause);
  }
}

async function remove(session: Session, { podId, logDirectory }: RunningPod): Promise<void> {
  await session.cri.runtime.removePodSandbox({ pod_sandbox_id: podId });
  await rm(logDirectory, { recursive: true, force: true });
}
