import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { ContainerStatus__Output } from '#cri-api/gen/runtime/v1/ContainerStatus';
import type { PodSandboxConfig } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import type { Berthd } from './berthd.ts';
import { busybox } from './paths.ts';
import { eventually } from './wait.ts';

const range = [{ host_id: 300_000, container_id: 0, length: 65_536 }];

/** A pod with users of its own (hostUsers: false). */
export const ownUsers: PodSandboxConfig = {
  linux: {
    security_context: {
      namespace_options: {
        network: 'POD',
        pid: 'CONTAINER',
        userns_options: { mode: 'POD', uids: range, gids: range },
      },
    },
  },
};

let serial = 0;

/** A pod's config as a kubelet would send it: all names differ from call to call. */
export function podConfig(berthd: Berthd, more: PodSandboxConfig = {}): PodSandboxConfig {
  serial += 1;
  const name = `pod${serial}`;
  const logDirectory = path.join(berthd.logs, name);
  mkdirSync(logDirectory, { recursive: true });
  return {
    metadata: { name, namespace: 'e2e', uid: `uid-${berthd.node.id}-${serial}`, attempt: 0 },
    log_directory: logDirectory,
    linux: {},
    ...more,
  };
}

/** A container of busybox that runs a shell line. */
export function shell(line: string, more: ContainerConfig = {}): ContainerConfig {
  return { image: { image: busybox }, command: ['/bin/sh', '-c', line], ...more };
}

export interface ExecOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A pod made through the CRI. */
export class TestPod {
  readonly berthd: Berthd;
  readonly id: string;
  readonly config: PodSandboxConfig;

  private constructor(berthd: Berthd, id: string, config: PodSandboxConfig) {
    this.berthd = berthd;
    this.id = id;
    this.config = config;
  }

  static async run(berthd: Berthd, more: PodSandboxConfig = {}): Promise<TestPod> {
    const config = podConfig(berthd, more);
    const { pod_sandbox_id: id } = await berthd.cri.runtime.runPodSandbox({ config });
    return new TestPod(berthd, id, config);
  }

  async create(more: ContainerConfig): Promise<TestContainer> {
    serial += 1;
    const name = `c${serial}`;
    const config: ContainerConfig = { metadata: { name, attempt: 0 }, log_path: `${name}.log`, ...more };
    const { container_id: id } = await this.berthd.cri.runtime.createContainer({
      pod_sandbox_id: this.id,
      config,
      sandbox_config: this.config,
    });
    return new TestContainer(this, id, config);
  }

  /** Creates and starts. */
  async start(more: ContainerConfig): Promise<TestContainer> {
    const container = await this.create(more);
    await container.start();
    return container;
  }

  /** Runs a shell line to its end and gives what it wrote; an exit code other than 0 is an error. */
  async sh(line: string, more: ContainerConfig = {}): Promise<string> {
    const container = await this.start(shell(line, more));
    const status = await container.exited();
    const text = container.output();
    if (status.exit_code !== 0) {
      throw new Error(`"${line}" ended with ${status.exit_code} ${status.reason} ${status.message}\n${text}`);
    }
    await container.remove();
    return text;
  }

  async status(): Promise<string> {
    const { status } = await this.berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: this.id });
    return String(status?.state);
  }

  async stop(): Promise<void> {
    await this.berthd.cri.runtime.stopPodSandbox({ pod_sandbox_id: this.id });
  }

  async remove(): Promise<void> {
    await this.berthd.cri.runtime.removePodSandbox({ pod_sandbox_id: this.id });
  }
}

export class TestContainer {
  readonly pod: TestPod;
  readonly id: string;
  readonly config: ContainerConfig;

  constructor(pod: TestPod, id: string, config: ContainerConfig) {
    this.pod = pod;
    this.id = id;
    this.config = config;
  }

  get #runtime() {
    return this.pod.berthd.cri.runtime;
  }

  get logFile(): string {
    return path.join(this.pod.config.log_directory ?? '', this.config.log_path ?? '');
  }

  async start(): Promise<void> {
    await this.#runtime.startContainer({ container_id: this.id });
  }

  async stop(timeoutS = 0): Promise<void> {
    await this.#runtime.stopContainer({ container_id: this.id, timeout: timeoutS });
  }

  async remove(): Promise<void> {
    await this.#runtime.removeContainer({ container_id: this.id });
  }

  async status(): Promise<ContainerStatus__Output> {
    const { status } = await this.#runtime.containerStatus({ container_id: this.id });
    if (!status) throw new Error(`no status of ${this.id}`);
    return status;
  }

  async exited(timeoutMs = 20_000): Promise<ContainerStatus__Output> {
    return eventually(
      `container ${this.id} exits`,
      async () => {
        const status = await this.status();
        return status.state === 'CONTAINER_EXITED' && status;
      },
      timeoutMs,
    );
  }

  async exec(cmd: readonly string[], timeoutS = 10): Promise<ExecOutcome> {
    const reply = await this.#runtime.execSync({ container_id: this.id, cmd: [...cmd], timeout: String(timeoutS) });
    return { code: reply.exit_code, stdout: reply.stdout.toString(), stderr: reply.stderr.toString() };
  }

  /** A shell line's standard output in the container; failing is an error. */
  async sh(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.exec(['/bin/sh', '-c', line]);
    if (code !== 0) throw new Error(`"${line}" ended with ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  records(): LogLine[] {
    return parseLog(readFileSync(this.logFile, 'utf8'));
  }

  /** What the container wrote, both streams in order, partial lines joined. */
  output(stream?: 'stdout' | 'stderr'): string {
    return this.records()
      .filter((line) => stream === undefined || line.stream === stream)
      .map((line) => line.text)
      .join('');
  }
}

export interface LogLine {
  readonly time: string;
  readonly stream: string;
  readonly partial: boolean;
  /** With the line end, unless partial. */
  readonly text: string;
}

/** The CRI's log format: "time stream P|F text". */
export function parseLog(text: string): LogLine[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const match = /^(\S+) (stdout|stderr) ([PF])(?: ([^]*))?$/.exec(line);
      if (!match) throw new Error(`not a log line: ${JSON.stringify(line)}`);
      const [, time = '', stream = '', tag, body = ''] = match;
      return { time, stream, partial: tag === 'P', text: tag === 'P' ? body : `${body}\n` };
    });
}
