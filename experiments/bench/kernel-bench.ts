/**
 * `node experiments/bench/kernel-bench.ts [--json]`: the kernels of LongSum, beside memcpy and SHA-256 of one upload.
 *
 * Checks first that the engines agree and that the sum opens, then times. Medians; what is compared is timed in turns
 * within one loop, so that a busy machine slows all of it alike. Uploads cycle through a pool larger than the last-level
 * cache (BENCH_POOL_MB, default 1.2 × that cache, at most 512): neither fold nor memcpy finds its bytes there.
 * Trusts: nothing. May be called by: people.
 */
import { createHash } from 'node:crypto';
import { compileKernels } from '../../crypto/kernels/instance.ts';
import { loadWasmLongEngine } from '../../crypto/kernels/long-wasm.ts';
import { createGaussianScan } from '../../crypto/kernels/sampler.ts';
import { systemRandom } from '../../crypto/random.ts';
import type { LongEngine } from '../../crypto/secagg/long/engine.ts';
import { typescriptEngine } from '../../crypto/secagg/long/engine-typescript.ts';
import {
  chooseLong,
  defineLongParameters,
  type LongParameters,
  longPrimes,
} from '../../crypto/secagg/long/parameters.ts';
import { cumulativeTable, sampleSmallGaussian } from '../../crypto/secagg/long/sampler.ts';
import { lastLevelCacheBytes, median } from './measuring.ts';

type Row = Readonly<Record<string, string | number>>;

/** Median milliseconds of each of `runs`, taken in turns. `runs` get the number of the turn. */
function timeInTurns<K extends string>(
  turns: number,
  runs: Readonly<Record<K, (turn: number) => unknown>>,
): Record<K, number> {
  const names = Object.keys(runs) as K[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  for (let turn = -2; turn < turns; turn++) {
    for (const name of names) {
      const start = performance.now();
      runs[name](Math.max(0, turn));
      if (turn >= 0) times[name].push(performance.now() - start);
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times[name])])) as Record<K, number>;
}

const lastLevelCacheMb = lastLevelCacheBytes() / 2 ** 20;

function poolMb(): number {
  const asked = Number(process.env.BENCH_POOL_MB);
  return asked > 0 ? asked : Math.min(512, Math.ceil(1.2 * lastLevelCacheMb));
}

const pool = new Uint8Array(poolMb() * 1_000_000).fill(3);

function sealInput(parameters: LongParameters) {
  const { sigma256, polyDegree, coefficientCount, slotCount, slotBits } = parameters;
  const slots = new Int32Array(slotCount);
  systemRandom.fill(new Uint8Array(slots.buffer));
  // Sums of up to four stay within a slot.
  for (let i = 0; i < slotCount; i++) slots[i] = slots[i]! >> (34 - slotBits);
  return {
    aSeed: systemRandom.fill(new Uint8Array(32)),
    secret: sampleSmallGaussian(sigma256, polyDegree, systemRandom),
    errors: sampleSmallGaussian(sigma256, coefficientCount, systemRandom),
    slots,
  };
}

function checkAgreement(wasm: LongEngine, parameters: LongParameters) {
  const input = sealInput(parameters);
  const packed = wasm.seal(parameters, input);
  if (!Buffer.from(packed).equals(typescriptEngine.seal(parameters, input))) {
    throw new Error('the engines disagree; nothing was timed');
  }
  const folder = wasm.folder(parameters);
  for (let i = 0; i < 3; i++) folder.add(packed);
  folder.subtract(packed);
  const secretSum = Int32Array.from(input.secret, (value) => 2 * value);
  const opening = { aSeed: input.aSeed, sums: folder.bytes(), secretSum, cohort: 2 };
  const wrong = wasm.open(parameters, opening).findIndex((sum, i) => sum !== 2 * input.slots[i]!);
  if (wrong !== -1) throw new Error(`slot ${wrong} opens wrong; nothing was timed`);
  return { input, opening };
}

function measureLong(wasm: LongEngine, parameters: LongParameters): Row {
  const { input, opening } = checkAgreement(wasm, parameters);
  const bytes = parameters.packedBytes;
  const uploads = Math.floor(pool.length / bytes);
  const upload = (i: number): Uint8Array => pool.subarray((i % uploads) * bytes, ((i % uploads) + 1) * bytes);
  const folder = wasm.folder(parameters);
  const turns = Math.min(400, Math.max(uploads, 60));
  // Each run has a part of the pool to itself in a turn, a whole pool away from its last use.
  const part = Math.max(1, Math.floor(uploads / 5));
  const fold = timeInTurns(turns, {
    memcpy: (i) => upload(i).set(upload(i + part)),
    add: (i) => folder.add(upload(i + 2 * part)),
    window: (i) => folder.window().set(upload(i + 3 * part)),
    addWindow: () => folder.addWindow(),
    sha256: (i) =>
      createHash('sha256')
        .update(upload(i + 4 * part))
        .digest(),
  });
  const whole = timeInTurns(15, {
    seal: () => wasm.seal(parameters, input),
    open: () => wasm.open(parameters, opening),
  });
  const twin = timeInTurns(3, {
    seal: () => typescriptEngine.seal(parameters, input),
    open: () => typescriptEngine.open(parameters, opening),
  });
  return {
    bench: 'kernels-long',
    slots: parameters.slotCount,
    slot_bits: parameters.slotBits,
    n: parameters.polyDegree,
    primes: parameters.primes.length,
    packed_bytes: bytes,
    seal_ms: whole.seal,
    seal_typescript_ms: twin.seal,
    open_ms: whole.open,
    open_typescript_ms: twin.open,
    fold_ms: fold.add,
    fold_window_ms: fold.addWindow,
    memcpy_ms: fold.memcpy,
    sha256_ms: fold.sha256,
    fold_ratio_memcpy: fold.add / fold.memcpy,
    fold_window_ratio_memcpy: fold.addWindow / fold.memcpy,
    fold_ratio_sha256: fold.add / fold.sha256,
  };
}

const row = (kernel: string, work: string, times: { wasm: number; typescript: number }): Row => ({
  bench: 'kernels-small',
  kernel,
  work,
  ms: times.wasm,
  typescript_ms: times.typescript,
  speedup: times.typescript / times.wasm,
});

async function measureSmall(): Promise<Row[]> {
  const entries = cumulativeTable(1170);
  const table = Int32Array.from({ length: 3 * entries.length }, (_, i) =>
    Number((entries[Math.floor(i / 3)]! >> BigInt(31 * (i % 3))) & 0x7fff_ffffn),
  );
  const count = 95_574;
  const words = systemRandom.fill(new Uint8Array(12 * count));
  const samples = new Int8Array(count);
  const scan = createGaussianScan(await compileKernels());
  const gaussian = timeInTurns(15, {
    wasm: () => scan(table, new Int32Array(words.buffer), samples),
    typescript: () => sampleSmallGaussian(1170, count, systemRandom),
  });
  return [row('gaussian scan (TypeScript: with random words)', `${count} samples`, gaussian)];
}

function printTable(rows: readonly Row[]): void {
  const names = Object.keys(rows[0]!).filter((name) => name !== 'bench');
  const show = (value: string | number): string =>
    typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(3) : `${value}`;
  const cells = rows.map((line) => names.map((name) => show(line[name]!)));
  for (const [i, name] of names.entries()) {
    console.log(`${name.padEnd(26)}${cells.map((line) => line[i]!.padStart(14)).join('')}`);
  }
  console.log('');
}

const request = { clients: 10_000, honestClients: 50, shortSum: 'shares', shortBytesPerSlot: 2 } as const;
const million = 2 ** 20;
const medium: LongParameters = defineLongParameters(
  {
    polyDegree: 8192,
    primes: longPrimes[8192],
    slotBits: 16,
    slotsPerCoefficient: 12,
    slotCount: million,
    coefficientCount: Math.ceil(million / 12),
    polynomialCount: Math.ceil(million / 12 / 8192),
    sigma256: 1170,
    clients: request.clients,
  },
  2 * 8192,
);
const wasm = await loadWasmLongEngine();
const longRows = [
  chooseLong({ ...request, slotCount: 10_000, slotBits: 16 }),
  chooseLong({ ...request, slotCount: 100_000, slotBits: 16 }),
  medium,
  chooseLong({ ...request, slotCount: million, slotBits: 16 }),
].map((parameters) => measureLong(wasm, parameters));
const smallRows = await measureSmall();
if (process.argv.includes('--json')) {
  for (const line of [...longRows, ...smallRows]) console.log(JSON.stringify(line));
} else {
  console.log(
    `Kernels, medians, one core; uploads from a pool of ${Math.round(pool.length / 1e6)} MB, ` +
      `last-level cache ${lastLevelCacheMb} MB; agreement checked first.\n`,
  );
  printTable(longRows);
  for (const line of smallRows) printTable([line]);
}
