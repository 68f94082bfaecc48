/**
 * Instances of the compiled kernels and the layout of their memory.
 *
 * The module is compiled once per thread; each engine and each folder has an instance, hence a memory, of its own, so
 * that growing one moves nobody else's views and that dropping one frees its memory. Trusts: kernels.generated.ts,
 * which `npm run check:kernels` compares with its source. May be called by: crypto/kernels.
 */
import { fromBase64 } from '../bytes.ts';
import { PulsefoldError } from '../error.ts';
import { kernelsBase64 } from './kernels.generated.ts';

/** Exports of assembly/index.ts. Pointers are byte offsets; counts of groups are of four values. */
export interface Kernels {
  /** First byte that the module does not use itself. */
  readonly heapBase: { readonly value: number };
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  smallestRoot(n: number, prime: number): number;
  buildTable(table: number, n: number, root: number, prime: number): void;
  forward(x: number, n: number, table: number, prime: number): void;
  inverse(x: number, n: number, table: number, prime: number): void;
  prepareFactor(x: number, prepared: number, n: number, scale: number, prime: number): void;
  multiply(target: number, factor: number, prepared: number, n: number, prime: number): void;
  inverseScale(n: number, prime: number): number;
  weight(exponent: number, prime: number): number;
  signedResidues(from: number, target: number, count: number, prime: number): void;
  widen(from: number, target: number, count: number): void;
  toPlanes(slots: number, count: number, width: number, planes: number, stride: number): void;
  addWeighted(
    target: number,
    planes: number,
    stride: number,
    count: number,
    weights: number,
    groups: number,
    prime: number,
  ): void;
  addPacked(from: number, sums: number, groups: number): void;
  subtractPacked(from: number, sums: number, groups: number, prime: number): void;
  reduceSums(sums: number, groups: number, prime: number): void;
  addPackedReduced(from: number, target: number, groups: number, offset: number, prime: number): void;
  pack(residues: number, to: number, groups: number): void;
  sampleUniform(
    from: number,
    words: number,
    target: number,
    filled: number,
    wanted: number,
    prime: number,
  ): number;
  mixedRadix(residues: number, stride: number, k: number, groups: number, primes: number): void;
  decodeSlots(
    digits: number,
    stride: number,
    k: number,
    count: number,
    primes: number,
    offset: number,
    limbs: number,
    number: number,
    bits: number,
    width: number,
    errorRange: number,
    slots: number,
  ): number;
  scanGaussian(words: number, count: number, table: number, entries: number, out: number): void;
}

/** What is used of WebAssembly: neither Node's types nor the ES library declare it. */
interface WebAssemblyApi {
  validate(bytes: Uint8Array): boolean;
  compile(bytes: Uint8Array): Promise<object>;
  Instance: new (module: object) => { readonly exports: unknown };
}

const api = (globalThis as unknown as { WebAssembly?: WebAssemblyApi }).WebAssembly;

export type KernelModule = object;

let compiled: Promise<KernelModule> | undefined;

/** Compiles the kernels. Throws UNAVAILABLE where there is no WebAssembly with SIMD. */
export function compileKernels(): Promise<KernelModule> {
  compiled ??= compileOnce();
  return compiled;
}

async function compileOnce(): Promise<KernelModule> {
  const bytes = fromBase64(kernelsBase64);
  if (api === undefined || !api.validate(bytes)) {
    throw new PulsefoldError('UNAVAILABLE', 'no WebAssembly SIMD here: use the engine "typescript"');
  }
  return api.compile(bytes);
}

const pageBytes = 65_536;

/** One instance and a bump allocator over its memory. */
export class Arena {
  readonly kernels: Kernels;
  #top: number;

  constructor(module: KernelModule) {
    this.kernels = new api!.Instance(module).exports as Kernels;
    this.#top = 64 * Math.ceil(this.kernels.heapBase.value / 64);
  }

  /** Offset, a multiple of 64, of `bytes` more bytes. What lay there before is not cleared. Moves the views. */
  allocate(bytes: number): number {
    const at = this.#top;
    const top = at + 64 * Math.ceil(bytes / 64);
    const missing = Math.ceil(top / pageBytes) - this.kernels.memory.buffer.byteLength / pageBytes;
    try {
      if (missing > 0) this.kernels.memory.grow(missing);
    } catch (cause) {
      throw new PulsefoldError('UNAVAILABLE', `no memory for ${top} bytes of kernel data`, { cause });
    }
    this.#top = top;
    return at;
  }

  /** For `release`. */
  get mark(): number {
    return this.#top;
  }

  /** Overwrites everything allocated since `mark` with zeros and frees it. */
  release(mark: number): void {
    this.bytes(mark, this.#top - mark).fill(0);
    this.#top = mark;
  }

  bytes(at: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.kernels.memory.buffer, at, length);
  }

  words(at: number, length: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.kernels.memory.buffer, at, length);
  }

  integers(at: number, length: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.kernels.memory.buffer, at, length);
  }
}
