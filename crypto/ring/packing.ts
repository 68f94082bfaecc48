/**
 * Bit-packed residues on the wire: little-endian, 5 bytes for a 40-bit prime, no header, exact lengths.
 *
 * For: ciphertext parts, keys, shares, partial decryptions. `unpack` takes hostile input and accepts exactly one
 * encoding of each value: a residue ≥ prime is refused. May be called by: crypto/he, crypto/secagg.
 */
import { type ErrorCode, PulsefoldError } from '../error.ts';
import type { Modulus } from './modulus.ts';

/** A run of `length` residues of each modulus in turn, repeated for every segment. */
export interface PackedLayout {
  readonly moduli: readonly Modulus[];
  /** Coefficients per modulus in each segment: one entry per polynomial. */
  readonly segments: readonly number[];
}

export function packedBytes(layout: PackedLayout): number {
  let perCoefficient = 0;
  for (const modulus of layout.moduli) perCoefficient += modulus.residueBytes;
  let coefficients = 0;
  for (const length of layout.segments) coefficients += length;
  return perCoefficient * coefficients;
}

export function residueCount(layout: PackedLayout): number {
  let coefficients = 0;
  for (const length of layout.segments) coefficients += length;
  return coefficients * layout.moduli.length;
}

export function pack(residues: Float64Array, layout: PackedLayout): Uint8Array {
  const out = new Uint8Array(packedBytes(layout));
  let at = 0;
  let from = 0;
  for (const length of layout.segments) {
    for (const modulus of layout.moduli) {
      const width = modulus.residueBytes;
      for (let i = 0; i < length; i++) {
        const value = residues[from++]!;
        const low = value >>> 0;
        out[at] = low;
        out[at + 1] = low >>> 8;
        out[at + 2] = low >>> 16;
        out[at + 3] = low >>> 24;
        if (width === 5) out[at + 4] = (value - low) / 4_294_967_296;
        at += width;
      }
    }
  }
  return out;
}

/**
 * Calls for each run of residues are inlined here because this is the hot loop of folding: adds every residue to
 * `target` (which may hold unreduced sums) and reports whether all were below their prime.
 */
function scan(bytes: Uint8Array, layout: PackedLayout, target: Float64Array | undefined): boolean {
  let at = 0;
  let to = 0;
  let inRange = true;
  for (const length of layout.segments) {
    for (const { prime, residueBytes } of layout.moduli) {
      for (let i = 0; i < length; i++) {
        let value = bytes[at]! + bytes[at + 1]! * 256 + bytes[at + 2]! * 65_536 + bytes[at + 3]! * 16_777_216;
        if (residueBytes === 5) value += bytes[at + 4]! * 4_294_967_296;
        at += residueBytes;
        if (value >= prime) inRange = false;
        if (target !== undefined) target[to++]! += value;
      }
    }
  }
  return inRange;
}

function fail(code: ErrorCode, what: string, detail: string): never {
  throw new PulsefoldError(code, `${what} ${detail}`);
}

/** Throws `code` unless `bytes` has exactly the length of `layout` and every residue is below its prime. */
export function validatePacked(bytes: Uint8Array, layout: PackedLayout, code: ErrorCode, what: string): void {
  const expected = packedBytes(layout);
  if (bytes.length !== expected) fail(code, what, `has ${bytes.length} bytes, expected ${expected}`);
  if (!scan(bytes, layout, undefined)) fail(code, what, 'holds a residue that is not below its prime');
}

/** Residues of `bytes`, checked as by `validatePacked`. */
export function unpack(bytes: Uint8Array, layout: PackedLayout, code: ErrorCode, what: string): Float64Array {
  const expected = packedBytes(layout);
  if (bytes.length !== expected) fail(code, what, `has ${bytes.length} bytes, expected ${expected}`);
  const out = new Float64Array(residueCount(layout));
  if (!scan(bytes, layout, out)) fail(code, what, 'holds a residue that is not below its prime');
  return out;
}

/** target += residues of `bytes`, unreduced. `bytes` must have passed `validatePacked` with the same layout. */
export function addPacked(target: Float64Array, bytes: Uint8Array, layout: PackedLayout): void {
  scan(bytes, layout, target);
}
