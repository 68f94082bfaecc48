import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { LargeLog, LEAVES } from './testing-large-log.ts';

/** Every position takes about an hour: `PULSEFOLD_AUDIT_STRIDE=1 npm run test:slow -- auditor/large-log`. */
const STRIDE = Number(process.env.PULSEFOLD_AUDIT_STRIDE ?? 50);

it('audit verify catches a flipped bit and a deletion at leaf positions all over a log of 10,000', () => {
  const log = new LargeLog(mkdtempSync(join(tmpdir(), 'pulsefold-large-')));
  try {
    expect(log.auditOf(log.lines)).toEqual([]);
    expect(log.flipsUnseen(8)).toEqual([]);
    const missed: string[] = [];
    for (let position = 0; position < LEAVES; position += STRIDE) {
      if (log.auditOf(log.flipped(position, position * 7_919 + 3)).length === 0)
        missed.push(`flip in ${position}`);
      if (log.auditOf(log.lines.toSpliced(position, 1)).length === 0) missed.push(`without ${position}`);
    }
    expect(missed).toEqual([]);
  } finally {
    rmSync(log.directory, { recursive: true, force: true });
  }
}, 7_200_000);
