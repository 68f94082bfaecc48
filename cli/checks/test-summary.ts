/**
 * Prints `N passed, N failed` from vitest's JSON report, for .ci/run. Counts only what the report states.
 *
 * A file that does not load has no tests in the report; it counts as one failure. Trusts: the report of this run
 * (.ci/run removes an older one first).
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const reportSchema = z.object({
  success: z.boolean(),
  testResults: z.array(
    z.object({
      status: z.string(),
      assertionResults: z.array(z.object({ status: z.string() })),
    }),
  ),
});

export interface TestSummary {
  readonly passed: number;
  readonly failed: number;
  /** Skipped, todo, pending. */
  readonly skipped: number;
  readonly ok: boolean;
}

/** Throws for anything but a vitest JSON report. */
export function summarise(text: string): TestSummary {
  const report = reportSchema.parse(JSON.parse(text));
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const { status, assertionResults } of report.testResults) {
    let failedHere = 0;
    for (const test of assertionResults) {
      if (test.status === 'passed') passed++;
      else if (test.status === 'failed') failedHere++;
      else skipped++;
    }
    failed += status === 'failed' ? Math.max(1, failedHere) : failedHere;
  }
  return { passed, failed, skipped, ok: report.success && failed === 0 && passed > 0 };
}

if (import.meta.main) {
  const { passed, failed, skipped, ok } = summarise(
    readFileSync(process.argv[2] ?? 'runs/vitest.json', 'utf8'),
  );
  if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  if (!ok) process.exitCode = 1;
}
