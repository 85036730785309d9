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
