/**
 * The limit of the `bfv` key transport, shown: one client that crafts its c1, together with the coordinator, reads
 * the committee key off one opened sum. Without zero-knowledge proofs of well-formedness the holders cannot tell, so
 * the threat model assumes well-formed ciphertexts here (use `shares` otherwise), and every round has its own key:
 * what the attack yields is worth nothing in any other round.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { utf8 } from '../bytes.ts';
import { loadedCipher } from '../he/bfv.ts';
import { invert, multiply, reduce } from '../ring/modulus.ts';
import { pack, unpack } from '../ring/packing.ts';
import { signedResidues } from '../ring/sampling.ts';
import { type Bfv, bfv4096, loadBfv } from './bfv.ts';
import { type LocalCommittee, runCeremony } from './local-ceremony.ts';

const n = bfv4096.polyDegree;
const digitsOf = (seed: number) => Int32Array.from({ length: n }, (_, i) => ((i * seed) % 401) - 200);

let bfv: Bfv;
let round: LocalCommittee;
let otherRound: LocalCommittee;
beforeAll(async () => {
  bfv = await loadBfv();
  round = runCeremony({ ceremonyId: utf8('round 1') });
  otherRound = runCeremony({ ceremonyId: utf8('round 2') });
});

/** Any polynomial part as the residues that cancel `sum`, with the constant coefficient set to 2^70. */
function crafted(sum: Uint8Array, constant: bigint): Uint8Array {
  const { layouts } = loadedCipher();
  const residues = unpack(sum, layouts.dataElement, 'INTERNAL', 'sum');
  for (const [block, { prime }] of layouts.dataModuli.entries()) {
    for (let i = block * n; i < (block + 1) * n; i++) residues[i] = (prime - residues[i]!) % prime;
    residues[block * n] = (residues[block * n]! + Number(constant % BigInt(prime))) % prime;
  }
  return pack(residues, layouts.dataElement);
}

/** ⌊x / constant⌉ for the centred integer x with these residues. */
function divideRounded(x1: number, x2: number, constant: bigint): number {
  const [first, second] = loadedCipher().layouts.dataModuli;
  const difference = x2 - reduce(x1, second!);
  const garner = invert(reduce(first!.prime, second!), second!);
  const h = multiply(garner, difference < 0 ? difference + second!.prime : difference, second!);
  const q = BigInt(first!.prime) * BigInt(second!.prime);
  const x = BigInt(x1) + BigInt(first!.prime) * BigInt(h);
  const centred = x > q / 2n ? x - q : x;
  return Number((2n * centred + constant + 2n * constant * 64n) / (2n * constant)) - 64;
}

/** Runs a round in which the last client is the attacker; returns the secret key it reads off the partials. */
function attack(victims: readonly { c0: Uint8Array; c1: Uint8Array }[]): Int32Array {
  const constant = 2n ** 70n;
  const others = bfv.accumulator('c1', n);
  for (const { c1 } of victims) others.add(c1);
  // The coordinator shows it the others' ciphertexts; its own c1 turns the sum into the constant 2^70.
  const own = crafted(others.bytes(), constant);
  bfv.validatePart(own, 'c1', n); // nothing to see
  others.add(own);
  const c1Sum = others.bytes();
  const activeSet = [2, 3];
  const moduli = loadedCipher().layouts.dataModuli;
  const residues = activeSet.map((holderIndex) => {
    const share = round.shares[holderIndex - 1]!;
    const partial = bfv.partialDecrypt({ share, c1Sum, digitCount: n, holderIndex, activeSet });
    return unpack(partial, loadedCipher().layouts.dataElement, 'INTERNAL', 'partial');
  });
  // Σ partials = 2^70·s + flooding, and the flooding is some 2^60.
  const at = (i: number) => (residues[0]![i]! + residues[1]![i]!) % moduli[Math.floor(i / n)]!.prime;
  return Int32Array.from({ length: n }, (_, i) => divideRounded(at(i), at(n + i), constant));
}

/** Decrypts one ciphertext with a whole secret key. */
function decryptAlone(secret: Int32Array, { c0, c1 }: { c0: Uint8Array; c1: Uint8Array }): Int32Array {
  const { layouts, engines } = loadedCipher();
  using multiplier = engines.data.multiplier(engines.data.toNtt(signedResidues(secret, layouts.dataModuli)));
  const product = multiplier.multiplyPolynomial(unpack(c1, layouts.dataElement, 'INTERNAL', 'c1'));
  return bfv.open({ c0Sum: c0, partials: [pack(product, layouts.dataElement)], digitCount: n });
}

describe('a client with a crafted c1 and the coordinator', () => {
  it('open every update of their own round', () => {
    const victims = [3, 5, 7].map((seed) => bfv.encrypt(round.publicKey, digitsOf(seed)));
    const secret = attack(victims);
    expect(new Set(secret).size).toBeGreaterThan(5);
    expect(secret.every((value) => Math.abs(value) <= 4)).toBe(true); // the sum of four ternary keys
    expect(decryptAlone(secret, victims[1]!)).toEqual(digitsOf(5));
  });

  it('open nothing of another round, whose key is independent', () => {
    const secret = attack([bfv.encrypt(round.publicKey, digitsOf(3))]);
    const victim = bfv.encrypt(otherRound.publicKey, digitsOf(5));
    expect(() => decryptAlone(secret, victim)).toThrow(expect.objectContaining({ code: 'OPENING_FAILED' }));
    // Nor do this round's shares or partials help there.
    const partials = [1, 2].map((holderIndex) => {
      const share = round.shares[holderIndex - 1]!;
      return bfv.partialDecrypt({ share, c1Sum: victim.c1, digitCount: n, holderIndex, activeSet: [1, 2] });
    });
    const opening = { c0Sum: victim.c0, partials, digitCount: n };
    expect(() => bfv.open(opening)).toThrow(expect.objectContaining({ code: 'OPENING_FAILED' }));
  });
});
