/**
 * The fonts of the PDF report: Noto Sans SC (SIL Open Font License 1.1, fonts/OFL.txt), cut to GB 2312, Latin, Greek and
 * signs, without hints, packed with Brotli. How they were made: docs/adr/0033.
 *
 * Trusts: the files of this package. May be called by: auditor/report/.
 */
import { readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';

export interface ReportFonts {
  readonly regular: Buffer;
  readonly semibold: Buffer;
}

const read = (name: string): Buffer =>
  brotliDecompressSync(readFileSync(new URL(`./fonts/noto-sans-sc-${name}.ttf.br`, import.meta.url)));

let fonts: ReportFonts | undefined;

/** TrueType files, unpacked once. */
export function reportFonts(): ReportFonts {
  fonts ??= { regular: read('regular'), semibold: read('semibold') };
  return fonts;
}
