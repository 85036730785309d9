import { BerthError } from '#base/errors';
import type { ConfigChange, ReloadReport } from '#config/live-config';
import { defaultConfigFile, loadConfig } from '#config/load';
import { checkStatePlaces } from '#config/state-paths';
import { ExitWith } from './failure.ts';
import type { Session } from './session.ts';

type Print = (text: string) => void;

/**
 * Reads the files without berthd, those of registries as well, and shows what they say.
 *
 * @param note warns of what berthd passes over
 * @throws CONFIG_INVALID naming every mistake
 */
export async function checkConfig(file: string | undefined, print: Print, note: Print): Promise<void> {
  const { config, values, files } = loadConfig({ file });
  checkStatePlaces(values);
  // Only here: no other command shall wait for what speaks with registries.
  const { checkRegistryFiles } = await import('#images/registry/check-files');
  const registries = await checkRegistryFiles(config.registries);
  for (const warning of registries.warnings) note(`berth: warning: ${warning}`);
  if (registries.mistakes.length > 0) throw new BerthError('CONFIG_INVALID', registries.mistakes.join('; '));
  print(files.length === 0 ? `# no ${defaultConfigFile}: the defaults` : `# from ${files.join(', ')}`);
  if (registries.files.length > 0) print(`# registries: ${registries.files.join(', ')}`);
  print(JSON.stringify(values, null, 2));
}

/** What berthd runs with, and how the last reload went. */
export async function showConfig(session: Session): Promise<void> {
  const { config, reload } = await session.admin.call('GET', '/config');
  session.print(JSON.stringify(config, null, 2));
  if (reload === undefined) session.note('not reloaded since berthd started');
  else describe(reload as ReloadReport, (text) => session.note(text));
}

/** Lets berthd read its files again; exit code 1 when it refused them. */
export async function reloadConfig(session: Session): Promise<void> {
  const { reload } = await session.admin.call('POST', '/config/reload');
  const report = reload as ReloadReport;
  describe(report, (text) => session.print(text));
  if (report.error !== '') throw new ExitWith(1);
}

function describe({ at, error, changes }: ReloadReport, print: Print): void {
  if (error !== '') print(`${at} refused, the old config holds: ${error}`);
  else if (changes.length === 0) print(`${at} reloaded: nothing was changed`);
  for (const change of changes) print(line(change));
}

function line({ key, from, to, applied }: ConfigChange): string {
  return `${applied ? 'applied        ' : 'needs a restart'} ${key}: ${JSON.stringify(from)} -> ${JSON.stringify(to)}`;
}
