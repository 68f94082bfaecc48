/** LongSum on the kernels against its TypeScript twin: byte for byte, hostile input included. */
import { describe, expect, it } from 'vitest';
import { PulsefoldError } from '../error.ts';
import { randomBytes, seededRandom } from '../random.ts';
import { typescriptEngine } from '../secagg/long/engine-typescript.ts';
import {
  chooseLong,
  defineLongParameters,
  type LongDegree,
  type LongParameters,
  longPrimes,
} from '../secagg/long/parameters.ts';
import { sampleSmallGaussian } from '../secagg/long/sampler.ts';
import { Arena, compileKernels } from './instance.ts';
import { loadWasmLongEngine, WasmLongEngine } from './long-wasm.ts';

const random = seededRandom('long-wasm');
const wasm = await loadWasmLongEngine();
const engines = [wasm, typescriptEngine];

/** A shape that chooseLong would not pick for its size, but that holds every margin. */
function shape(
  polyDegree: LongDegree,
  primeCount: number,
  slotBits: number,
  slotsPerCoefficient: number,
  slotCount: number,
): LongParameters {
  const coefficientCount = Math.ceil(slotCount / slotsPerCoefficient);
  return defineLongParameters(
    {
      polyDegree,
      primes: longPrimes[polyDegree].slice(0, primeCount),
      slotBits,
      slotsPerCoefficient,
      slotCount,
      coefficientCount,
      polynomialCount: Math.ceil(coefficientCount / polyDegree),
      sigma256: 1170,
      clients: 100,
    },
    8192,
  );
}

const shapes: readonly (readonly [string, LongParameters])[] = [
  ['n 4096, one slot', shape(4096, 4, 16, 1, 1)],
  ['n 4096, one prime', shape(4096, 1, 8, 1, 4100)],
  ['n 4096, two polynomials, a group of one', shape(4096, 4, 16, 5, 5 * 4096 + 3)],
  ['n 8192, 32-bit slots, fewer than a coefficient', shape(8192, 8, 32, 4, 3)],
  ['n 8192, 17 bits', shape(8192, 8, 17, 11, 10_007)],
  ['n 8192, three polynomials, a whole last group', shape(8192, 2, 9, 3, 3 * (2 * 8192 + 8))],
  ['n 16384, more slots than one sum holds', shape(16384, 16, 3, 130, 10_000)],
  ['n 16384, two polynomials', shape(16384, 3, 20, 3, 3 * 16384 + 7)],
];

/** Inputs of a seal: slots so small that sums of three fit, or any int32 with errors and keys of any int8. */
function sealInput(parameters: LongParameters, extreme: boolean) {
  const small = (count: number): Int8Array =>
    extreme
      ? new Int8Array(randomBytes(count, random).buffer)
      : sampleSmallGaussian(parameters.sigma256, count, random);
  const slots = new Int32Array(randomBytes(4 * parameters.slotCount, random).buffer);
  for (let i = 0; i < slots.length; i++) {
    if (!extreme) slots[i] = slots[i]! >> (34 - Math.min(parameters.slotBits, 32));
    else if (i % 3 === 0) slots[i] = i % 2 ? 0x7fff_ffff : -0x8000_0000;
  }
  return {
    aSeed: randomBytes(32, random),
    secret: small(parameters.polyDegree),
    errors: small(parameters.coefficientCount),
    slots,
  };
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : `${error}`;
  }
  return 'no error';
}

const same = (a: Uint8Array | Int32Array, b: Uint8Array | Int32Array): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));

describe.each(shapes)('%s', (_name, parameters) => {
  it('seals to the same bytes', () => {
    for (const extreme of [false, true]) {
      const input = sealInput(parameters, extreme);
      expect(same(wasm.seal(parameters, input), typescriptEngine.seal(parameters, input))).toBe(true);
    }
  });

  it('folds, subtracts and merges hostile bytes to the same bytes', () => {
    const uploads = Array.from({ length: 5 }, () => randomBytes(parameters.packedBytes, random));
    uploads.push(new Uint8Array(parameters.packedBytes).fill(255));
    const [a, b] = engines.map((engine) => engine.folder(parameters));
    const rest = wasm.folder(parameters);
    for (const [i, upload] of uploads.entries()) {
      for (const folder of [a!, b!]) folder.add(upload);
      if (i % 2 === 1) for (const folder of [a!, b!]) folder.subtract(uploads[i - 1]!);
      if (i === 2) expect(same(a!.bytes(), b!.bytes())).toBe(true);
      rest.add(upload);
    }
    for (const folder of [a!, b!]) folder.add(rest.bytes());
    for (const folder of [a!, b!]) folder.subtract(uploads[5]!);
    expect(same(a!.bytes(), b!.bytes())).toBe(true);
    expect(a!.count).toBe(b!.count);
  });

  it('opens the sum of three, and refuses it where a secret is missing', () => {
    const aSeed = randomBytes(32, random);
    const folder = wasm.folder(parameters);
    const secretSum = new Int32Array(parameters.polyDegree);
    const expected = new Int32Array(parameters.slotCount);
    let lastSecret = new Int8Array(0);
    for (let client = 0; client < 3; client++) {
      const input = { ...sealInput(parameters, false), aSeed };
      lastSecret = input.secret as Int8Array<ArrayBuffer>;
      for (const [i, value] of input.secret.entries()) secretSum[i]! += value;
      for (const [i, value] of input.slots.entries()) expected[i]! += value;
      folder.add(client === 1 ? typescriptEngine.seal(parameters, input) : wasm.seal(parameters, input));
    }
    const opening = { aSeed, sums: folder.bytes(), secretSum, cohort: 3 };
    const opened = wasm.open(parameters, opening);
    expect(same(opened, typescriptEngine.open(parameters, opening))).toBe(true);
    expect(same(opened, expected)).toBe(true);
    for (const [i, value] of lastSecret.entries()) secretSum[i]! -= value;
    for (const engine of engines) {
      expect(codeOf(() => engine.open(parameters, opening))).toBe('OPENING_FAILED');
    }
  });

  it('refuses wrong lengths like the twin', () => {
    const input = sealInput(parameters, false);
    const sums = new Uint8Array(parameters.packedBytes);
    const opening = {
      aSeed: input.aSeed,
      sums,
      secretSum: new Int32Array(parameters.polyDegree),
      cohort: 1,
    };
    const short = input.slots.subarray(1);
    const seal = (change: object) => (engine: typeof wasm) =>
      engine.seal(parameters, { ...input, ...change });
    const open = (change: object) => (engine: typeof wasm) =>
      engine.open(parameters, { ...opening, ...change });
    const add = (bytes: number) => (engine: typeof wasm) =>
      engine.folder(parameters).add(new Uint8Array(bytes));
    const subtract = (bytes: number) => (engine: typeof wasm) =>
      engine.folder(parameters).subtract(new Uint8Array(bytes));
    const cases: (readonly [string, (engine: typeof wasm) => unknown])[] = [
      ['VECTOR_LENGTH_MISMATCH', seal({ slots: short })],
      ['VECTOR_LENGTH_MISMATCH', seal({ secret: new Int8Array(1) })],
      ['VECTOR_LENGTH_MISMATCH', seal({ errors: new Int8Array(parameters.coefficientCount + 4) })],
      ['WRONG_CIPHERTEXT_PARAMETERS', seal({ aSeed: new Uint8Array(31) })],
      ['WRONG_CIPHERTEXT_PARAMETERS', open({ sums: sums.subarray(13) })],
      ['WRONG_CIPHERTEXT_PARAMETERS', open({ aSeed: new Uint8Array(33) })],
      ['VECTOR_LENGTH_MISMATCH', open({ secretSum: new Int32Array(8) })],
      ['FIELD_OUT_OF_RANGE', open({ cohort: 0 })],
      ['FIELD_OUT_OF_RANGE', open({ cohort: parameters.clients + 1 })],
      ['WRONG_CIPHERTEXT_PARAMETERS', add(parameters.packedBytes - 1)],
      ['WRONG_CIPHERTEXT_PARAMETERS', add(parameters.packedBytes + 1)],
      ['WRONG_CIPHERTEXT_PARAMETERS', subtract(0)],
    ];
    for (const engine of engines) {
      expect(cases.map(([, run]) => codeOf(() => run(engine)))).toEqual(cases.map(([code]) => code));
    }
  });
});

describe('the folder', () => {
  const parameters = shape(4096, 2, 8, 3, 60);
  const ones = new Uint8Array(parameters.packedBytes).fill(255);

  it('does not overflow over hundreds of the largest residues, added and subtracted', () => {
    const [a, b] = engines.map((engine) => engine.folder(parameters));
    for (let i = 0; i < 400; i++) {
      for (const folder of [a!, b!]) {
        if (i % 7 < 3 || i > 200) folder.add(ones);
        else folder.subtract(ones);
      }
      if (i % 64 === 63) expect(same(a!.bytes(), b!.bytes())).toBe(true);
    }
    expect(same(a!.bytes(), b!.bytes())).toBe(true);
    expect(a!.count).toBe(b!.count);
  });

  it('does not overflow over subtracted zeros, which cost most', () => {
    const [a, b] = engines.map((engine) => engine.folder(parameters));
    for (let i = 0; i < 70; i++) {
      for (const folder of [a!, b!]) folder.subtract(new Uint8Array(parameters.packedBytes));
      for (const folder of [a!, b!]) if (i % 9 === 0) folder.add(ones);
    }
    expect(same(a!.bytes(), b!.bytes())).toBe(true);
    expect(a!.count).toBe(8 - 70);
  });

  it('adds what was read into its window, which no other call disturbs', () => {
    const upload = randomBytes(parameters.packedBytes, random);
    const [a, b] = engines.map((engine) => engine.folder(parameters));
    const window = a!.window();
    expect(window.length).toBe(parameters.packedBytes);
    window.set(upload);
    a!.add(ones);
    a!.subtract(ones);
    a!.bytes();
    const large = shape(16384, 16, 20, 19, 40_000);
    wasm.folder(large).add(new Uint8Array(large.packedBytes));
    expect(same(a!.window(), upload)).toBe(true);
    a!.addWindow();
    a!.addWindow();
    b!.add(upload);
    b!.add(upload);
    expect(same(a!.bytes(), b!.bytes())).toBe(true);
    expect(a!.count).toBe(2);
  });
});

describe('the engine', () => {
  it('takes no parameters that miss a margin or name other sizes', () => {
    const good = shape(4096, 2, 8, 3, 60);
    const input = sealInput(good, false);
    const [first, second] = good.primes;
    for (const bad of [
      { packedBytes: good.packedBytes - 13 },
      { primes: [second!, first!] },
      { clients: 1e6 },
    ]) {
      const parameters = { ...good, ...bad };
      const opening = {
        aSeed: input.aSeed,
        sums: new Uint8Array(8),
        secretSum: new Int32Array(8),
        cohort: 1,
      };
      expect(codeOf(() => wasm.seal(parameters, input))).toBe('PARAMETER_UNSAFE');
      expect(codeOf(() => wasm.folder(parameters))).toBe('PARAMETER_UNSAFE');
      expect(codeOf(() => wasm.open(parameters, opening))).toBe('PARAMETER_UNSAFE');
    }
  });

  it('survives the worst 190 slots of a coefficient', () => {
    const parameters = shape(16384, 16, 2, 190, 190 * 8);
    const input = sealInput(parameters, true);
    const prime = BigInt(parameters.primes[0]!);
    for (let i = 0; i < parameters.slotCount; i++) {
      // All products of slot and centred Montgomery weight of the first prime negative, half of them the largest.
      const weight = (1n << BigInt(32 + 2 * (i % 190))) % prime;
      input.slots[i] = weight > prime / 2n ? 0x7fff_ffff : -0x8000_0000;
    }
    expect(same(wasm.seal(parameters, input), typescriptEngine.seal(parameters, input))).toBe(true);
  });

  it('agrees with the twin on what chooseLong picks', () => {
    for (const [slotCount, slotBits] of [
      [1500, 18],
      [20_000, 16],
      [70_000, 24],
    ] as const) {
      const parameters = chooseLong({
        slotCount,
        slotBits,
        clients: 1000,
        honestClients: 50,
        shortSum: 'shares',
        shortBytesPerSlot: 2,
      });
      const input = sealInput(parameters, true);
      expect(same(wasm.seal(parameters, input), typescriptEngine.seal(parameters, input))).toBe(true);
    }
  });

  it('leaves zeros where secrets were, also when it fails', async () => {
    const module = await compileKernels();
    const arena = new Arena(module);
    const engine = new WasmLongEngine(module, arena);
    const parameters = shape(8192, 8, 17, 11, 10_007);
    const input = sealInput(parameters, true);
    const dirty = (): number => {
      const used = arena.bytes(arena.mark, arena.kernels.memory.buffer.byteLength - arena.mark);
      return used.reduce((count, byte) => count + (byte === 0 ? 0 : 1), 0);
    };
    engine.seal(parameters, input);
    // Only the tables of 8 primes stay.
    expect(arena.mark).toBeGreaterThanOrEqual(8 * 16 * 8192);
    expect(arena.mark).toBeLessThan(8 * 16 * 8192 + 4096);
    expect(dirty()).toBe(0);
    expect(codeOf(() => engine.seal(parameters, { ...input, aSeed: new Uint8Array(1) }))).not.toBe(
      'no error',
    );
    expect(dirty()).toBe(0);
    // What `dirty` sees: the same place, used and not released.
    const mark = arena.mark;
    arena.bytes(mark, 1)[0] = 1;
    expect(dirty()).toBe(1);
  });
});
