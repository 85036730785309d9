import { readFileSync } from 'node:fs';
import type { Report, Spec } from './report.ts';

/** Specs that do not pass here, and why: exactly so many, with this state and these words. */
interface Exception {
  readonly name: RegExp;
  readonly state: 'failed' | 'skipped';
  readonly says: RegExp;
  readonly count: number;
  readonly why: string;
}

/** As critest looks for it (github.com/containerd/containerd/pkg/apparmor does it so). */
function hasAppArmor(): boolean {
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8').startsWith('Y');
  } catch {
    return false;
  }
}

const exceptions: readonly Exception[] = [
  {
    name: /^\[k8s\.io\] Image Manager public image with digest should be pulled and removed \[Conformance\]$/,
    state: 'failed',
    says: /./,
    count: 1,
    why: 'wants an image by the digest that a public registry has, which nobody else can make',
  },
  {
    name: /\bNRI\b/,
    state: 'skipped',
    says: /NRI socket not configured/,
    count: 13,
    why: 'Berth serves no NRI',
  },
  {
    name: /Image Volume/,
    state: 'skipped',
    says: /Image Volumes are not yet supported by the runtime/,
    count: 5,
    why: 'Berth refuses image volumes, by name',
  },
  {
    name: /\bAppArmor\b/,
    state: 'skipped',
    says: /AppArmor is disabled on this host/,
    count: hasAppArmor() ? 0 : 9,
    why: 'this kernel has no AppArmor',
  },
];

/** All specs of critest 1.37.0 without its benchmarks. */
const specs = 137;

/** What differs from what is expected, in sentences. With a focus nobody knows how many of each there should be. */
export function surprises(report: Report, focused: boolean): string[] {
  const notPassed = report.specs.filter(({ state }) => state !== 'passed');
  const strange = notPassed.filter((spec) => !exceptions.some((exception) => fits(exception, spec)));
  const lines = strange.map(({ name, state }) => `${state}, which was not expected: ${name}`);
  if (focused) return lines;
  for (const exception of exceptions) {
    const found = notPassed.filter((spec) => fits(exception, spec)).length;
    if (found === exception.count) continue;
    const { state, name, count } = exception;
    lines.push(
      `${found} specs ${state} of ${String(name)}, where ${count} were expected: mend e2e/critest/expected.ts`,
    );
  }
  if (report.specs.length !== specs) lines.push(`${report.specs.length} specs, where ${specs} were expected`);
  return lines;
}

/** Why specs did not pass that nobody expects to. A line for each that failed (tools/test-counts.ts reads them). */
export function excuses({ specs: all }: Report): string[] {
  return exceptions.flatMap((exception) => {
    const { state, why } = exception;
    const names = all.filter((spec) => fits(exception, spec)).map(({ name }) => name);
    if (state === 'failed') return names.map((name) => `nobody passes here: ${name}: ${why}`);
    return names.length === 0 ? [] : [`${names.length} skipped: ${why}`];
  });
}

function fits({ name, state, says }: Exception, spec: Spec): boolean {
  return spec.state === state && name.test(spec.name) && says.test(spec.message);
}
