import { BerthError, isBerthError } from '#base/errors';
import { loadPaths } from '#config/load';
import type { StatePaths } from '#config/slices';
import { connectCri, type CriClient } from '#cri-api/client';
import { AdminClient } from './admin-client.ts';

/** The options every command has. */
export interface GlobalOptions {
  readonly socket?: string;
  readonly adminSocket?: string;
  readonly config?: string;
}

/** What a command works with: berthd's two sockets, and the terminal. */
export interface Session {
  readonly socket: string;
  readonly cri: CriClient;
  readonly admin: AdminClient;
  /** Where berthd keeps its state, by its own word or else by the config of this machine. */
  paths(): Promise<StatePaths>;
  print(text: string): void;
  /** For people, beside the output: progress and warnings. */
  note(text: string): void;
  readonly terminal: boolean;
}

export interface Streams {
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
}

/** --socket, then --config, then BERTH_SOCKET, then the config file of the machine; the admin socket lies beside the CRI's unless it is named. */
export function openSession(
  options: GlobalOptions,
  env: NodeJS.ProcessEnv = process.env,
  streams: Streams = process,
): Session {
  // What is typed counts more than what the environment says.
  const around = options.config === undefined ? env : {};
  const named = options.socket ?? around['BERTH_SOCKET'];
  const namedAdmin = options.adminSocket ?? around['BERTH_ADMIN_SOCKET'];
  const wanted = named === undefined || options.config !== undefined;
  const note = (text: string): void => void streams.stderr.write(`${text}\n`);
  const configured = wanted ? configuredPaths(options.config, note) : undefined;
  const socket = withoutScheme(named ?? configured?.socket ?? '');
  const configuredAdmin = named === undefined ? configured?.adminSocket : undefined;
  const adminSocket = withoutScheme(namedAdmin ?? configuredAdmin ?? beside(socket));
  const admin = new AdminClient(adminSocket);
  return {
    socket,
    cri: connectCri(socket),
    admin,
    paths: async () => configured ?? (await admin.paths()),
    print: (text) => void streams.stdout.write(`${text}\n`),
    note,
    terminal: streams.stderr.isTTY === true,
  };
}

/** The sockets are all that a command needs: it is no use to lock the owner out of a berthd that runs for any other mistake. */
function configuredPaths(file: string | undefined, note: (text: string) => void): StatePaths {
  try {
    const { paths, mistake } = loadPaths({ file });
    if (mistake !== '') note(`berth: warning: berthd would not start with this configuration: ${mistake}`);
    return paths;
  } catch (error) {
    if (!isBerthError(error, 'CONFIG_INVALID')) throw error;
    const advice = 'mend it, or name the sockets of a berthd that runs: --socket and --admin-socket';
    throw new BerthError('CONFIG_INVALID', `${error.message}: ${advice}`, { cause: error });
  }
}

function withoutScheme(address: string): string {
  const path = address.replace(/^unix:\/\//, '');
  if (path.startsWith('/')) return path;
  throw new BerthError('INVALID_ARGUMENT', `socket ${address} is not an absolute path or unix:// address`);
}

function beside(socket: string): string {
  return `${socket.slice(0, socket.lastIndexOf('/'))}/admin.sock`;
}
