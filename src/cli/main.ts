import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Command, CommanderError } from 'commander';
import { checkConfig, reloadConfig, showConfig } from './config.ts';
import { inspect, remove, removeImages, showLogs, stop } from './containers.ts';
import { attachToContainer, execInContainer, type ExecOptions } from './exec.ts';
import { explain, ownFailure } from './failure.ts';
import { listImages, listPods, type ListOptions } from './list.ts';
import { check, info, loadImage, version } from './node.ts';
import { listPulls, pullImage, type PullOptions } from './pull.ts';
import { runImage, type RunOptions, volumeOptions } from './run.ts';
import { shutdown, type ShutdownOptions } from './shutdown.ts';
import { openSession, type GlobalOptions, type Session } from './session.ts';

// The owner's command: what it takes, and which function does it.

const gather = (value: string, before: readonly string[]): readonly string[] => [...before, value];
const program = new Command('berth')
  .description('Run and look after pods of berthd, the Berth container runtime.')
  .option('--socket <path>', 'the CRI socket (default: BERTH_SOCKET, or the config’s)')
  .option('--admin-socket <path>', 'the admin socket (default: beside the CRI socket)')
  .option('--config <file>', 'the config file to find the sockets by')
  .enablePositionalOptions()
  .showHelpAfterError('(berth help lists the commands)')
  .exitOverride();

let socket = '';

/** Opens a session for one command, and closes it whatever happens. */
async function inSession(work: (session: Session) => Promise<void>): Promise<void> {
  const session = openSession(program.opts<GlobalOptions>());
  socket = session.socket;
  try {
    await work(session);
  } finally {
    session.cri.close();
  }
}

program
  .command('run <image> [command...]')
  .description('run an image in a pod of its own; ends with the container’s exit code')
  .passThroughOptions()
  .option('--name <name>', 'the pod’s name')
  .option('--net <pod|host>', 'a network of its own, or the node’s', 'pod')
  .option('-e, --env <name[=value]>', 'an environment variable; without a value, the one it has here', gather, [])
  .option(
    '-v, --volume <source:target[:options]>',
    `a directory or file of the node, which must be there (again for more); options: ${volumeOptions}`,
    gather,
    [],
  )
  .option('-u, --user <user>', 'the user to run as: NAME, UID or UID:GID')
  .option('-w, --workdir <path>', 'the working directory')
  .option('-d, --detach', 'print the container’s id and leave it running')
  .option('--rm', 'remove the pod when the container has ended')
  .option('--time', 'say how long each step took')
  .action((image: string, command: string[], options: RunOptions) =>
    inSession((session) => runImage(session, image, command, options)),
  );
program
  .command('ps')
  .description('list pods and containers')
  .option('-a, --all', 'also those that have ended')
  .option('-o, --output <table|json>', 'how')
  .action((options: ListOptions) => inSession((session) => listPods(session, options)));
program
  .command('logs <container>')
  .description('show what a container wrote')
  .option('-f, --follow', 'go on until it ends')
  .action((word: string, options: { follow?: boolean }) => inSession((session) => showLogs(session, word, options)));
program
  .command('exec <container> <command...>')
  .description('run a command in a container')
  .passThroughOptions()
  .option('-i, --interactive', 'hand over standard input')
  .option('-t, --tty', 'with a terminal; ctrl-p ctrl-q detaches')
  .option('--timeout <seconds>', 'kill it after this time; 0: never', '0')
  .action((word: string, command: string[], options: ExecOptions) =>
    inSession((session) => execInContainer(session, word, command, options)),
  );
program
  .command('attach <container>')
  .description('join a container’s own input and output; ctrl-p ctrl-q detaches from a terminal')
  .action((word: string) => inSession((session) => attachToContainer(session, word)));
program
  .command('inspect <id...>')
  .description('show all that is known about pods or containers, as JSON')
  .action((words: string[]) => inSession((session) => inspect(session, words)));
program
  .command('stop <id...>')
  .description('stop pods or containers')
  .option('-t, --timeout <seconds>', 'how long containers may take', '10')
  .action((words: string[], options: { timeout: string }) => inSession((session) => stop(session, words, options)));
program
  .command('rm <id...>')
  .description('remove containers, or pods with all that is in them')
  .option('-f, --force', 'also what runs: it is killed')
  .action((words: string[], options: { force?: boolean }) => inSession((session) => remove(session, words, options)));
program
  .command('images')
  .description('list images')
  .option('-o, --output <table|json>', 'how')
  .action((options: ListOptions) => inSession((session) => listImages(session, options)));
program
  .command('load <file>')
  .description('load an image from an OCI layout or docker archive')
  .option('--tag <name>', 'the name to give it')
  .action((file: string, options: { tag?: string }) => inSession((session) => loadImage(session, file, options)));
program
  .command('pull <image>')
  .description('pull an image from its registry, whether or not it is here')
  .option('-u, --user <name[:password]>', 'credentials; a password that is not here is read from the input')
  .action((image: string, options: PullOptions) => inSession((session) => pullImage(session, image, options)));
program
  .command('pulls')
  .description('list the pulls under way, whoever began them')
  .action(() => inSession(listPulls));
program
  .command('rmi <image...>')
  .description('remove images')
  .action((words: string[]) => inSession((session) => removeImages(session, words)));
program
  .command('check')
  .description('list what lies on the machine that berthd does not own; exit code 1 when there is something')
  .option(
    '--forget',
    'first delete what recovery has set aside (records, broken copies of the store), and forget what it has ended',
  )
  .action((options: { forget?: boolean }) => inSession((session) => check(session, options)));
const config = program.command('config').description('check, show or reload the configuration');
config
  .command('check [file]')
  .description('read the files without berthd and show what they say; names unknown keys and wrong values')
  .action((file: string | undefined) =>
    checkConfig(
      file ?? program.opts<GlobalOptions>().config,
      (text) => void process.stdout.write(`${text}\n`),
      (text) => void process.stderr.write(`${text}\n`),
    ),
  );
config
  .command('show')
  .description('show what berthd runs with, and how the last reload went')
  .action(() => inSession(showConfig));
config
  .command('reload')
  .description('let berthd read its files again: what was applied, and what needs a restart')
  .action(() => inSession(reloadConfig));
program
  .command('info')
  .description('show status and configuration of berthd, as JSON')
  .action(() => inSession(info));
program
  .command('version')
  .description('show the versions of berth and berthd')
  .action(() => inSession((session) => version(session, ownVersion())));
program
  .command('shutdown')
  .description('end berthd, and wait until it has ended; pods go on unless --remove-all')
  .option('--remove-all', 'stop and remove every pod, network and control group first')
  .option('--timeout <seconds>', 'how long to wait for its end', '60')
  .action((options: ShutdownOptions) => inSession((session) => shutdown(session, options)));

/** package.json lies at the top, two or three directories up (sources, or what was built from them). */
function ownVersion(): string {
  for (const up of ['../../..', '../..']) {
    try {
      const text = readFileSync(path.join(import.meta.dirname, up, 'package.json'), 'utf8');
      return (JSON.parse(text) as { readonly version: string }).version;
    } catch {
      // The other one.
    }
  }
  return 'unknown';
}

/** What to do about an option of berth's own behind the command, where it is the command's. */
function misplaced({ code, message }: CommanderError): string {
  const [, option] = /'(--(?:socket|admin-socket|config))[='\s]/.exec(message) ?? [];
  if (code !== 'commander.unknownOption' || option === undefined) return '';
  return `(${option} goes before the command: berth ${option} ... COMMAND)\n`;
}

// A reader that has enough (berth ps | head) is no error.
process.stdout.on('error', () => {
  process.exitCode = 0;
});
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : ownFailure;
    process.stderr.write(misplaced(error));
  } else {
    const { text, exitCode } = explain(error, socket);
    if (text !== '') process.stderr.write(`${text}\n`);
    process.exitCode = exitCode;
  }
}
