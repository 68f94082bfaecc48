/** Goal: `data check` tells a researcher what the program understood, and a mistake with its place. Real processes. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { pulsefold, temporaryDirectory } from '../testing.ts';

const scratch = temporaryDirectory();
afterAll(() => scratch.dispose());
const examples = resolve(import.meta.dirname, '../../experiments/datasets/examples');

test('the ten-line example: for people, for programs, and with a mistake', async () => {
  const schema = join(examples, 'clinic.yaml');
  const lines = readFileSync(schema, 'utf8')
    .trimEnd()
    .split('\n')
    .filter((line) => !line.startsWith('#'));
  expect(lines.length).toBeLessThanOrEqual(10);
  const wrong = join(scratch.path, 'wrong.yaml');
  writeFileSync(
    wrong,
    lines.join('\n').replace('  age:', '  agge:').replace('clinic.csv', join(examples, 'clinic.csv')),
  );
  const [people, programs, mistake] = await Promise.all([
    pulsefold(['data', 'check', schema]),
    pulsefold(['data', 'check', schema, '--json']),
    pulsefold(['data', 'check', wrong]),
  ]);
  expect(people.code).toBe(0);
  expect(people.stdout).toContain('rows     140 (1 left out: a value was missing)');
  expect(people.stdout).toContain('persons  120 (at most 2 rows each)');
  expect(people.stdout).toContain('negative 86 (61.4 %), positive 54 (38.6 %)');
  const report = JSON.parse(programs.stdout) as { rows: number; features: unknown[]; warnings: string[] };
  expect([report.rows, report.features.length, report.warnings]).toEqual([140, 4, []]);
  expect(mistake.code).toBe(1);
  expect(mistake.stderr).toMatch(
    /^error DATA_INVALID: clinic\.csv, line 1: there is no column "agge" .*wrong\.yaml:5:3; did you mean "age"\?\n$/,
  );
});
