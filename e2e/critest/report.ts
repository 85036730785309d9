import { readFileSync } from 'node:fs';

/** How one spec went. */
export interface Spec {
  readonly name: string;
  readonly state: string;
  readonly message: string;
  readonly seconds: number;
}

export interface Report {
  readonly seed: number;
  readonly seconds: number;
  readonly specs: readonly Spec[];
}

/** The parts of ginkgo's JSON report that are used here. */
interface GinkgoReport {
  readonly SuiteConfig: { readonly RandomSeed: number };
  readonly RunTime: number;
  readonly SpecReports: readonly GinkgoSpec[] | null;
}

interface GinkgoSpec {
  readonly ContainerHierarchyTexts: readonly string[] | null;
  readonly LeafNodeText: string;
  readonly LeafNodeType: string;
  readonly State: string;
  readonly RunTime: number;
  readonly Failure?: { readonly Message: string; readonly Location?: { FileName?: string; LineNumber?: number } };
}

/** Reads what ginkgo wrote; benchmarks and what the focus left out are not in it. */
export function readReport(file: string, focused: boolean): Report {
  const [report] = JSON.parse(readFileSync(file, 'utf8')) as GinkgoReport[];
  if (!report) throw new Error(`${file} has no report`);
  const chosen = (report.SpecReports ?? []).filter(
    (spec) =>
      (spec.LeafNodeType === 'It' && !spec.LeafNodeText.includes('benchmark') && !(focused && notChosen(spec))) ||
      (spec.LeafNodeType !== 'It' && spec.Failure !== undefined),
  );
  return { seed: report.SuiteConfig.RandomSeed, seconds: seconds(report.RunTime), specs: chosen.map(specOf) };
}

/** As in "critest: 107 passed, 1 failed, 9 skipped", with the failed ones below. */
export function describeReport(report: Report): string {
  const failed = failures(report);
  const count = (state: string): number => report.specs.filter((spec) => spec.state === state).length;
  return [
    ...failed.flatMap(({ name, state, message }) => [`${state}: ${name}`, ...indented(message)]),
    `critest: ${count('passed')} passed, ${failed.length} failed, ${count('skipped')} skipped ` +
      `(${Math.round(report.seconds)} s, seed ${report.seed})`,
  ].join('\n');
}

export function failures({ specs }: Report): Spec[] {
  return specs.filter(({ state }) => !['passed', 'skipped', 'pending'].includes(state));
}

/** Skipped by the focus, not by the spec itself, which says why. */
function notChosen({ State, Failure }: GinkgoSpec): boolean {
  return State === 'skipped' && (Failure?.Message ?? '') === '';
}

function specOf(spec: GinkgoSpec): Spec {
  const texts = [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText || spec.LeafNodeType];
  const { FileName = '', LineNumber } = spec.Failure?.Location ?? {};
  const place =
    LineNumber === undefined || LineNumber === 0 ? '' : ` (${FileName.split('/').pop() ?? ''}:${LineNumber})`;
  return {
    name: texts.join(' '),
    state: spec.State,
    message: spec.Failure === undefined ? '' : `${spec.Failure.Message}${place}`,
    seconds: seconds(spec.RunTime),
  };
}

/** Without the dump of the error's fields, which says nothing more; the place in critest comes last. */
function indented(message: string): string[] {
  const lines = message.split('\n').filter((line) => line.trim() !== '');
  const dump = lines.findIndex((line) => line.trim() === '{');
  const short = dump < 0 || lines.length < 8 ? lines.slice(0, 12) : [...lines.slice(0, dump), lines.at(-1) ?? ''];
  return short.map((line) => `    ${line.slice(0, 400)}`);
}

function seconds(nanoseconds: number): number {
  return nanoseconds / 1e9;
}
