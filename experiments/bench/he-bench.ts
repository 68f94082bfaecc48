/**
 * `node experiments/bench/he-bench.ts [--json]`: time and bytes of the threshold BFV cipher per vector length.
 *
 * Checks first that what is timed is exact, then times it: encryption of one vector, folding one upload (c0 and c1),
 * a partial decryption, an opening; and one whole key ceremony of four holders in one process. Medians. A table for
 * people; with --json one line per row for machines. Trusts: nothing. May be called by: people, `npm run bench`.
 */
import { utf8 } from '../../crypto/bytes.ts';
import { systemRandom } from '../../crypto/random.ts';
import { BitReader } from '../../crypto/ring/sampling.ts';
import { type Bfv, loadBfv } from '../../crypto/secagg/bfv.ts';
import { type LocalCommittee, runCeremony } from '../../crypto/secagg/local-ceremony.ts';
import { median } from './measuring.ts';

interface Row {
  readonly bench: 'bfv';
  readonly parameters: number;
  readonly repeats: number;
  readonly encrypt_ms: number;
  readonly fold_ms: number;
  readonly partial_ms: number;
  readonly open_ms: number;
  readonly upload_bytes: number;
  readonly bytes_per_parameter: number;
  readonly partial_bytes: number;
}

const activeSet = [1, 3];
const checkedContributions = 3;

function time<T>(repeats: number, run: () => T): { ms: number; last: T } {
  const times: number[] = [];
  let last: T | undefined;
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    last = run();
    times.push(performance.now() - start);
  }
  return { ms: median(times), last: last as T };
}

function randomDigits(count: number): Int32Array {
  const reader = new BitReader(systemRandom);
  return Int32Array.from({ length: count }, () => reader.below(8000) - 4000);
}

function measure(bfv: Bfv, committee: LocalCommittee, parameters: number, repeats: number): Row {
  const c0 = bfv.accumulator('c0', parameters);
  const c1 = bfv.accumulator('c1', parameters);
  const expected = new Int32Array(parameters);
  const decrypt = (holderIndex: number, c1Sum: Uint8Array): Uint8Array => {
    const share = committee.shares[holderIndex - 1]!;
    return bfv.partialDecrypt({ share, c1Sum, digitCount: parameters, holderIndex, activeSet });
  };
  for (let i = 0; i < checkedContributions; i++) {
    const digits = randomDigits(parameters);
    for (const [at, digit] of digits.entries()) expected[at]! += digit;
    const upload = bfv.encrypt(committee.publicKey, digits);
    c0.add(upload.c0);
    c1.add(upload.c1);
  }
  const [c0Sum, c1Sum] = [c0.bytes(), c1.bytes()];
  const partials = activeSet.map((holder) => decrypt(holder, c1Sum));
  const opening = { c0Sum, partials, digitCount: parameters };
  const wrong = bfv.open(opening).findIndex((digit, i) => digit !== expected[i]);
  if (wrong !== -1)
    throw new Error(`the sum of ${parameters} parameters is wrong at ${wrong}; nothing was timed`);

  const digits = randomDigits(parameters);
  const encryption = time(repeats, () => bfv.encrypt(committee.publicKey, digits));
  const upload = encryption.last;
  const folding = time(repeats, () => {
    c0.add(upload.c0);
    c1.add(upload.c1);
  });
  const uploadBytes = upload.c0.length + upload.c1.length;
  return {
    bench: 'bfv',
    parameters,
    repeats,
    encrypt_ms: encryption.ms,
    fold_ms: folding.ms,
    partial_ms: time(repeats, () => decrypt(1, c1Sum)).ms,
    open_ms: time(repeats, () => bfv.open(opening)).ms,
    upload_bytes: uploadBytes,
    bytes_per_parameter: uploadBytes / parameters,
    partial_bytes: partials[0]!.length,
  };
}

function printTable(rows: readonly Row[], ceremonyMs: number): void {
  const columns: readonly (readonly [string, (row: Row) => string])[] = [
    ['parameters', (row) => row.parameters.toLocaleString('en')],
    ['encrypt ms', (row) => row.encrypt_ms.toFixed(2)],
    ['fold ms', (row) => row.fold_ms.toFixed(2)],
    ['partial ms', (row) => row.partial_ms.toFixed(2)],
    ['open ms', (row) => row.open_ms.toFixed(2)],
    ['upload bytes', (row) => row.upload_bytes.toLocaleString('en')],
    ['bytes/parameter', (row) => row.bytes_per_parameter.toFixed(2)],
    ['× float32', (row) => (row.bytes_per_parameter / 4).toFixed(2)],
  ];
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, show]) => show(row)))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  console.log(
    'Threshold BFV, n = 4096, 2 of 4 holders; sums checked exact before timing; medians, one core.\n',
  );
  for (const line of cells) console.log(line.map((cell, i) => cell.padStart(widths[i]!)).join('  '));
  console.log(`\nKey ceremony of four holders in this process, one key: ${ceremonyMs.toFixed(0)} ms`);
}

const json = process.argv.includes('--json');
const bfv = await loadBfv();
const ceremony = time(5, () => runCeremony({ ceremonyId: utf8('he-bench') }));
const sizes = [
  [300, 5],
  [3_000, 5],
  [30_000, 5],
  [300_000, 3],
] as const;
const rows = sizes.map(([parameters, repeats]) => measure(bfv, ceremony.last, parameters, repeats));
if (json) {
  for (const row of rows) console.log(JSON.stringify(row));
  console.log(JSON.stringify({ bench: 'bfv-ceremony', holders: 4, threshold: 2, ceremony_ms: ceremony.ms }));
} else {
  printTable(rows, ceremony.ms);
}
