/**
 * Text of a PDF for the report's tests. Trusts: nothing. May be called by: auditor/report/*.test.ts.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** By poppler; undefined where it is not installed. */
export function pdfText(bytes: Uint8Array): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-pdf-'));
  const path = join(directory, 'report.pdf');
  try {
    writeFileSync(path, bytes);
    return execFileSync('pdftotext', ['-layout', path, '-'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    }).toString('utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
