/**
 * Pictures of MNIST's shape (28 × 28, ten classes) from a seed, for where MNIST is not at hand: strokes of a class,
 * shifted, blended with another class's and covered with noise, so that a linear model is right about five times in six.
 *
 * For: experiments/bench/simulate.ts, which also writes them down for other systems (`--export-data`). No claim about real
 * digits. Trusts: nothing.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { utf8 } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import type { VirtualPopulation } from '../simulation/population.ts';

export const DIGIT_SIDE = 28;
export const DIGIT_CLASSES = 10;
const PIXELS = DIGIT_SIDE * DIGIT_SIDE;
const LEVELS = 255;
/** Of each level, in [0, 1]. */
const SHADES = Float32Array.from({ length: LEVELS + 1 }, (_, level) => level / LEVELS);

/** Points of a class's stroke, and what is done to it. Found by trying: the linear model's accuracy is their purpose. */
const POINTS = 14;
const POINT_WIDTH = 1.6;
const SHIFT_MAX = 2;
const BLEND_MAX = 0.55;
const NOISE = 0.58;

/** A fast generator (mulberry32, public domain); what it makes is data, not secrets. */
class Generator {
  #state: number;

  constructor(seed: string) {
    const digest = getSuite('intl').digest(utf8(`bench/digits/${seed}`));
    this.#state = new DataView(digest.buffer, digest.byteOffset).getUint32(0);
  }

  /** Fills `target` with the next draws, 32 bits each. */
  words(target: Uint32Array): void {
    let state = this.#state;
    for (let i = 0; i < target.length; i++) {
      state = (state + 0x6d2b79f5) | 0;
      let value = Math.imul(state ^ (state >>> 15), 1 | state);
      value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
      target[i] = value ^ (value >>> 14);
    }
    this.#state = state;
  }

  readonly #word = new Uint32Array(1);
  /** Uniform in [0, 1). */
  next(): number {
    this.words(this.#word);
    return this.#word[0]! / 2 ** 32;
  }
}

export function generatorOf(seed: string): () => number {
  const generator = new Generator(seed);
  return () => generator.next();
}

/** The strokes of each class: a walk of soft points. */
function prototypes(next: () => number): Float32Array[] {
  return Array.from({ length: DIGIT_CLASSES }, () => {
    const picture = new Float32Array(PIXELS);
    let [x, y] = [8 + 12 * next(), 6 + 6 * next()];
    let angle = 2 * Math.PI * next();
    for (let point = 0; point < POINTS; point++) {
      for (let row = 0; row < DIGIT_SIDE; row++)
        for (let column = 0; column < DIGIT_SIDE; column++) {
          const distance = ((row - y) ** 2 + (column - x) ** 2) / (2 * POINT_WIDTH ** 2);
          const at = row * DIGIT_SIDE + column;
          if (distance < 8) picture[at] = Math.max(picture[at]!, Math.exp(-distance));
        }
      angle += 1.4 * (next() - 0.5);
      x = Math.min(22, Math.max(6, x + 2 * Math.cos(angle)));
      y = Math.min(22, Math.max(6, y + 2 * Math.sin(angle)));
    }
    return picture;
  });
}

export interface DigitsOptions {
  readonly clients: number;
  readonly seed: string;
}

export interface Digits {
  readonly population: VirtualPopulation;
  readonly test: { readonly features: Float32Array; readonly labels: Uint8Array; readonly count: number };
}

const TEST_ROWS = 10_000;
/** Rows of a client: uniform between these, 60 on average. */
const [ROWS_MIN, ROWS_MAX] = [20, 100];

export function makeDigits({ clients, seed }: DigitsOptions): Digits {
  const generator = new Generator(seed);
  const next = () => generator.next();
  const strokes = prototypes(next).map(framed);
  const offsets = new Uint32Array(clients + 1);
  for (let i = 0; i < clients; i++)
    offsets[i + 1] = offsets[i]! + ROWS_MIN + Math.floor(next() * (ROWS_MAX - ROWS_MIN + 1));
  const count = offsets[clients]!;
  const train = draw(strokes, count, generator);
  const test = draw(strokes, TEST_ROWS, generator);
  return { population: { table: train, offsets, inputs: PIXELS }, test };
}

/** A picture with a frame of nothing, so that it can be shifted without a look at its edges. */
const FRAMED_SIDE = DIGIT_SIDE + 2 * SHIFT_MAX;
function framed(picture: Float32Array): Float32Array {
  const out = new Float32Array(FRAMED_SIDE * FRAMED_SIDE);
  for (let row = 0; row < DIGIT_SIDE; row++)
    out.set(
      picture.subarray(row * DIGIT_SIDE, (row + 1) * DIGIT_SIDE),
      (row + SHIFT_MAX) * FRAMED_SIDE + SHIFT_MAX,
    );
  return out;
}

function draw(strokes: readonly Float32Array[], count: number, generator: Generator) {
  const features = new Float32Array(new SharedArrayBuffer(4 * count * PIXELS));
  const labels = new Uint8Array(new SharedArrayBuffer(count));
  const pick = () => Math.floor(generator.next() * DIGIT_CLASSES);
  const words = new Uint32Array(PIXELS);
  for (let row = 0; row < count; row++) {
    const label = pick();
    labels[row] = label;
    const target = features.subarray(row * PIXELS, (row + 1) * PIXELS);
    paint(target, strokes[label]!, strokes[pick()]!, generator, words);
  }
  return { features, labels, count };
}

function paint(
  target: Float32Array,
  own: Float32Array,
  other: Float32Array,
  generator: Generator,
  words: Uint32Array,
): void {
  const blend = BLEND_MAX * generator.next();
  const shift = () => Math.floor(generator.next() * (2 * SHIFT_MAX + 1));
  const [dx, dy, ox, oy] = [shift(), shift(), shift(), shift()];
  generator.words(words);
  for (let row = 0; row < DIGIT_SIDE; row++) {
    const ownAt = (row + dy) * FRAMED_SIDE + dx;
    const otherAt = (row + oy) * FRAMED_SIDE + ox;
    const at = row * DIGIT_SIDE;
    for (let column = 0; column < DIGIT_SIDE; column++) {
      const ink = (1 - blend) * own[ownAt + column]! + blend * other[otherAt + column]!;
      // Two halves of a draw: a triangular law.
      const word = words[at + column]!;
      const noise = NOISE * (((word & 0xffff) + (word >>> 16)) / 2 ** 16 - 1);
      const value = ink + noise;
      const level = value <= 0 ? 0 : value >= 1 ? LEVELS : (value * LEVELS + 0.5) | 0;
      target[at + column] = SHADES[level]!;
    }
  }
}

export interface DigitTerms {
  readonly rounds: number;
  readonly cohort: number;
  readonly batch: number;
  readonly epochs: number;
  readonly learningRate: number;
  readonly seed: string;
}

/** NumPy's own format, version 1.0 (numpy.lib.format): what any Python reads without a library of ours. */
function npy(type: '<f4' | '|u1' | '<u4', shape: readonly number[], bytes: Uint8Array): Buffer {
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const header = `${text.padEnd(64 * Math.ceil((text.length + 11) / 64) - 11)}\n`;
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(header.length, 8);
  return Buffer.concat([head, Buffer.from(header, 'latin1'), bytes]);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint8Array | Uint32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Writes the very rows that our own run trains on, and its terms, for other systems. */
export function exportDigits(directory: string, { population, test }: Digits, terms: DigitTerms): void {
  mkdirSync(directory, { recursive: true });
  const { table, offsets, inputs } = population;
  const write = (name: string, content: Buffer | string) => writeFileSync(join(directory, name), content);
  write('train_features.npy', npy('<f4', [table.count, inputs], bytesOf(table.features)));
  write('train_labels.npy', npy('|u1', [table.count], bytesOf(table.labels)));
  write('offsets.npy', npy('<u4', [offsets.length], bytesOf(offsets)));
  write('test_features.npy', npy('<f4', [test.count, inputs], bytesOf(test.features)));
  write('test_labels.npy', npy('|u1', [test.count], bytesOf(test.labels)));
  const seed = generatorOf(`${terms.seed}/peers`)() * 2 ** 31;
  write(
    'workload.json',
    `${JSON.stringify({ ...terms, seed: Math.floor(seed), classes: DIGIT_CLASSES }, null, 2)}\n`,
  );
}
