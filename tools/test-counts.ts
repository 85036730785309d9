/** How many tests of a suite ran, and how. */
export interface Count {
  readonly passed: number;
  readonly failed: number;
}

/** From jest's --json; undefined when no test ran. A file that could not be run at all is a failure. */
export function countJest(json: string): Count | undefined {
  let report: unknown;
  try {
    report = JSON.parse(json);
  } catch {
    return undefined;
  }
  const numbers = report as Readonly<Record<string, number>>;
  const passed = numbers['numPassedTests'] ?? 0;
  const failed = (numbers['numFailedTests'] ?? 0) + (numbers['numRuntimeErrorTestSuites'] ?? 0);
  return passed + failed === 0 ? undefined : { passed, failed };
}

/** From ctest's closing line; undefined when it is missing or says that there was no test. */
export function countCtest(output: string): Count | undefined {
  const match = /(\d+) tests? failed out of (\d+)/.exec(output);
  if (match === null) return undefined;
  const failed = Number(match[1]);
  const all = Number(match[2]);
  return all === 0 ? undefined : { passed: all - failed, failed };
}

/** From critest's driver, whose last words these are. What nobody passes without the public registries is left out. */
export function countCritest(output: string): Count | undefined {
  const match = /^critest: (\d+) passed, (\d+) failed/m.exec(output);
  if (match === null || match[1] === '0') return undefined;
  const impossible = output.split('\n').filter((line) => line.startsWith('nobody passes here: ')).length;
  return { passed: Number(match[1]), failed: Number(match[2]) - impossible };
}
