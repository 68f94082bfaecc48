import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LargeLog, LEAVES } from './testing-large-log.ts';
import { type AuditTrust, verifyRunDirectory } from './verify.ts';

let log: LargeLog;
beforeAll(() => {
  log = new LargeLog(mkdtempSync(join(tmpdir(), 'pulsefold-large-')));
});
afterAll(() => rmSync(log.directory, { recursive: true, force: true }));
const some = [0, 5_003, LEAVES - 1];

describe('a log of 10,000 leaves', () => {
  it('passes as it is', () => {
    expect(log.lines).toHaveLength(LEAVES);
    expect(log.auditOf(log.lines)).toEqual([]);
  });

  it('audit verify catches a flipped bit, a deletion, a swap, a repeat and an insertion (sampled positions)', () => {
    for (const position of some) {
      expect(log.auditOf(log.flipped(position, position * 31 + 5)), `flip in ${position}`).not.toEqual([]);
      expect(log.auditOf(log.lines.toSpliced(position, 1)), `without ${position}`).toContain('ROOT_MISMATCH');
      const line = log.lines[position]!;
      const next = log.lines[(position + 1) % LEAVES]!;
      const swapped = log.lines.with(position, next).with((position + 1) % LEAVES, line);
      expect(log.auditOf(swapped), `swap at ${position}`).toContain('ROOT_MISMATCH');
      expect(log.auditOf(log.lines.toSpliced(position, 0, line)), `twice ${position}`).toContain(
        'SIZE_MISMATCH',
      );
    }
  });

  it('audit verify catches a truncation at every length that is tried, also to nothing and within a line', () => {
    for (const length of [0, 1, 255, 256, 5_000, 8_192, LEAVES - 1])
      expect(log.auditOf(log.lines.slice(0, length)), `${length} leaves`).toContain('SIZE_MISMATCH');
    expect(log.auditOf([...log.lines.slice(0, -1), log.lines.at(-1)!.subarray(0, -1)])).not.toEqual([]);
  });

  it('a fork that the coordinator signs is caught by an earlier checkpoint, and by the witness', () => {
    const earlierCheckpoint = readFileSync(join(log.directory, 'log', 'checkpoint'), 'utf8');
    const { fixture } = log;
    const honest = fixture.leaves;
    const directory = mkdtempSync(join(tmpdir(), 'pulsefold-forked-'));
    try {
      fixture.leaves = honest.with(17, honest[18]!);
      fixture.write(directory);
      const errors = (trust: AuditTrust) =>
        verifyRunDirectory(directory, trust).findings.flatMap(({ severity, code }) =>
          severity === 'error' ? [code] : [],
        );
      // Nobody who knows only this history can tell.
      expect(errors({})).toEqual([]);
      expect(errors({ earlierCheckpoint })).toEqual(['CHECKPOINT_FORKED']);
      expect(errors({ policy: log.policy })).toEqual(['WITNESS_QUORUM']);
    } finally {
      fixture.leaves = honest;
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it('every leaf position: no bit can be flipped under the signed root', () => {
    expect(log.flipsUnseen(1)).toEqual([]);
  });
});
