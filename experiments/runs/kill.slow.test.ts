/** Goal: a run that is killed without warning goes on where it was, and ends as if nothing had happened. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runExperiment } from './run.ts';
import { SMALL, smallExperiment, temporaryFolder } from './testing-experiment.ts';

const scratch = temporaryFolder();
afterAll(() => scratch.dispose());
const CLI = resolve(import.meta.dirname, '../../cli/pulsefold.ts');

test('SIGKILL in the middle: the lock is taken over, what was done is kept', async () => {
  const file = join(scratch.path, 'small.yaml');
  const directory = join(scratch.path, 'killed');
  writeFileSync(file, SMALL.replace('seeds: 2', 'seeds: 12'));
  const child = spawn(process.execPath, [CLI, 'run', file, '--out', directory], { stdio: 'ignore' });
  const exit = new Promise((done) => child.once('exit', done));
  const done = (index: number) =>
    join(directory, 'units', `point-0000-seed-${String(index).padStart(4, '0')}`, 'done.json');
  while (!existsSync(done(2))) await new Promise((next) => setTimeout(next, 10));
  child.kill('SIGKILL');
  await exit;
  expect(existsSync(join(directory, 'lock'))).toBe(true);
  expect(existsSync(done(11))).toBe(false);
  const before = statSync(done(0)).mtimeMs;

  const twelve = smallExperiment({ seeds: 12 });
  const { unitsKept } = await runExperiment(twelve, { outDirectory: directory });
  expect(unitsKept).toBeGreaterThanOrEqual(3);
  expect(statSync(done(0)).mtimeMs).toBe(before);
  const whole = join(scratch.path, 'whole');
  await runExperiment(twelve, { outDirectory: whole });
  expect(readFileSync(join(directory, 'metrics.ndjson'), 'utf8')).toBe(
    readFileSync(join(whole, 'metrics.ndjson'), 'utf8'),
  );
  const files = readdirSync(directory, { recursive: true });
  expect(files.filter((name) => String(name).endsWith('.tmp') || String(name) === 'lock')).toEqual([]);
}, 120_000);
