/**
 * node-seal as an exact ring engine: polynomial products and encryption on arrays of residues.
 *
 * Two SEAL contexts are used as raw RLWE engines (scheme CKKS: decryption returns c0 + c1·s, unrounded), one over
 * the data primes, one over all three; a third, BFV, encrypts. Objects are filled by overwriting the residues inside
 * SEAL's own uncompressed serialisation (header taken from an object SEAL saved itself), which is the only way in.
 * Every SEAL object is released (`using`). Secrets are overwritten where they are known to lie, but neither
 * JavaScript nor WebAssembly promises erasure of every copy: a holder's memory is as secret as its share.
 * Trusts: SEAL 4.1.2 in WebAssembly and its CSPRNG (crypto.getRandomValues). May be called by: crypto/he,
 * crypto/secagg; not by roles.
 */
import initialize, {
  type Ciphertext,
  type Decryptor,
  type MainModule,
  type PublicKey,
  type SEALContext,
  type SecretKey,
} from 'node-seal';
import { ensure, isPulsefoldError, PulsefoldError } from '../error.ts';
import type { Residues } from '../ring/modulus.ts';
import type { BfvParameters } from './parameters.ts';

/** Header of a serialised SEAL object and where its residues start. */
interface Frame {
  readonly header: Uint8Array;
  readonly residues: number;
}

/** Offset of the NTT flag in a serialised ciphertext: after the 16-byte SEAL header and the 32-byte parms id. */
const nttFlagOffset = 48;

/** Splits a saved object of `residues` 64-bit words into header and payload length. */
function frameOf(saved: Uint8Array, residues: number): Frame {
  return { header: saved.slice(0, saved.length - 8 * residues), residues };
}

/** Serialises `residues` (shorter is padded with zeros) behind the header of `frame`. */
function encodeFrame(frame: Frame, residues: ArrayLike<number>, offset = 0, into?: Uint8Array): Uint8Array {
  // Align the payload to 4 bytes so that it can be written as words.
  const size = frame.header.length + 8 * frame.residues;
  const shift = (4 - (frame.header.length & 3)) & 3;
  const bytes = into ?? new Uint8Array(new ArrayBuffer(size + shift), shift, size);
  if (into === undefined) bytes.set(frame.header);
  const words = new Uint32Array(
    bytes.buffer,
    bytes.byteOffset + frame.header.length + 8 * offset,
    residues.length * 2,
  );
  for (let i = 0; i < residues.length; i++) {
    const value = residues[i]!;
    const low = value >>> 0;
    words[2 * i] = low;
    words[2 * i + 1] = (value - low) / 4_294_967_296;
  }
  return bytes;
}

/** The last `count` 64-bit words before `end` words from the back, as doubles. */
function decodeWords(saved: Uint8Array, first: number, count: number, total: number): Residues {
  const start = saved.length - 8 * total + 8 * first;
  const words = new Uint32Array(saved.slice(start, start + 8 * count).buffer);
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) out[i] = words[2 * i]! + words[2 * i + 1]! * 4_294_967_296;
  return out;
}

/** Runs SEAL code; what it throws becomes a coded error whose message holds no data. */
function guarded<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (isPulsefoldError(error)) throw error;
    throw new PulsefoldError('INTERNAL', 'SEAL refused the operation', { cause: error });
  }
}

interface ContextSpec {
  readonly scheme: 'bfv' | 'ckks';
  readonly polyDegree: number;
  readonly primes: readonly bigint[];
  readonly plainModulus?: number;
  readonly secure: boolean;
}

function createContext(seal: MainModule, spec: ContextSpec): SEALContext {
  using parameters = new seal.EncryptionParameters(seal.SchemeType[spec.scheme]);
  parameters.setPolyModulusDegree(spec.polyDegree);
  using moduli = new seal.VectorModulus();
  for (const prime of spec.primes) {
    using modulus = new seal.Modulus(prime);
    moduli.push_back(modulus);
  }
  parameters.setCoeffModulus(moduli);
  if (spec.plainModulus !== undefined) {
    using plain = new seal.Modulus(BigInt(spec.plainModulus));
    parameters.setPlainModulus(plain);
  }
  const context = new seal.SEALContext(
    parameters,
    true,
    spec.secure ? seal.SecLevelType.tc128 : seal.SecLevelType.none,
  );
  ensure(context.parametersSet(), 'PARAMETER_UNSAFE', 'SEAL refuses the BFV parameters');
  return context;
}

/** Multiplies by one fixed ring element; release it when done. */
export interface Multiplier extends Disposable {
  /** addend + factor · element, all in NTT form. `factor` must not be zero. */
  multiplyAdd(addend: Residues | undefined, factor: Residues): Residues;
  /** factor · element, factor and product in coefficient form. `factor` must not be zero. */
  multiplyPolynomial(factor: Residues): Residues;
}

/** The ring Z_q[X]/(X^n + 1), q a product of `primes`: residues prime after prime, n each. */
export class RingEngine {
  readonly polyDegree: number;
  readonly size: number;
  readonly #seal: MainModule;
  readonly #context: SEALContext;
  readonly #coefficientFrame: Frame;
  readonly #nttFrame: Frame;
  readonly #keyFrame: Frame;
  readonly #evaluator;

  /** `spare` is a further prime that SEAL wants above the data level; nothing is computed with it. */
  constructor(
    seal: MainModule,
    polyDegree: number,
    primes: readonly bigint[],
    spare: bigint,
    secure: boolean,
  ) {
    this.#seal = seal;
    this.polyDegree = polyDegree;
    this.size = primes.length * polyDegree;
    this.#context = createContext(seal, { scheme: 'ckks', polyDegree, primes: [...primes, spare], secure });
    this.#evaluator = new seal.Evaluator(this.#context);
    using first = this.#context.firstParmsId();
    using ciphertext = new seal.Ciphertext(this.#context, first, 2);
    ciphertext.resize(2);
    this.#coefficientFrame = frameOf(ciphertext.saveToArray(seal.ComprModeType.none), 2 * this.size);
    const header = this.#coefficientFrame.header.slice();
    header[nttFlagOffset] = 1;
    this.#nttFrame = { header, residues: 2 * this.size };
    using generator = new seal.KeyGenerator(this.#context);
    using key = generator.secretKey();
    this.#keyFrame = frameOf(key.saveToArray(seal.ComprModeType.none), this.size + polyDegree);
  }

  #load(frame: Frame, first: Residues | undefined, second: Residues | undefined): Ciphertext {
    // SEAL refuses "transparent" ciphertexts, so an absent second polynomial is the constant 1.
    const bytes = encodeFrame(frame, second ?? [1], this.size);
    if (first !== undefined) encodeFrame(frame, first, 0, bytes);
    const ciphertext = new this.#seal.Ciphertext();
    try {
      ciphertext.loadFromArray(this.#context, bytes);
    } catch (error) {
      ciphertext.delete();
      throw error;
    }
    return ciphertext;
  }

  #save(ciphertext: Ciphertext, both: boolean): [Residues, Residues | undefined] {
    const saved: Uint8Array = ciphertext.saveToArray(this.#seal.ComprModeType.none);
    const total = 2 * this.size;
    const second = both ? decodeWords(saved, this.size, this.size, total) : undefined;
    return [decodeWords(saved, 0, this.size, total), second];
  }

  toNtt(polynomial: Residues): Residues {
    return guarded(() => {
      using ciphertext = this.#load(this.#coefficientFrame, polynomial, undefined);
      this.#evaluator.cipherTransformToNttInplace(ciphertext);
      return this.#save(ciphertext, false)[0];
    });
  }

  /** NTT form of two polynomials at once; the second must not be zero. */
  pairToNtt(first: Residues, second: Residues): [Residues, Residues] {
    return guarded(() => {
      using ciphertext = this.#load(this.#coefficientFrame, first, second);
      this.#evaluator.cipherTransformToNttInplace(ciphertext);
      const [a, b] = this.#save(ciphertext, true);
      return [a, b!];
    });
  }

  fromNtt(polynomial: Residues): Residues {
    return guarded(() => {
      using ciphertext = this.#load(this.#nttFrame, polynomial, undefined);
      this.#evaluator.cipherTransformFromNttInplace(ciphertext);
      return this.#save(ciphertext, false)[0];
    });
  }

  /** A multiplier by `element`, given in NTT form. */
  multiplier(element: Residues): Multiplier {
    return guarded(() => {
      using key: SecretKey = new this.#seal.SecretKey();
      const bytes = encodeFrame(this.#keyFrame, element);
      key.loadFromArray(this.#context, bytes);
      bytes.fill(0);
      const decryptor = new this.#seal.Decryptor(this.#context, key);
      return {
        multiplyAdd: (addend, factor) =>
          guarded(() => {
            using ciphertext = this.#load(this.#nttFrame, addend, factor);
            return this.#decrypt(decryptor, ciphertext);
          }),
        multiplyPolynomial: (factor) =>
          guarded(() => {
            using ciphertext = this.#load(this.#coefficientFrame, undefined, factor);
            this.#evaluator.cipherTransformToNttInplace(ciphertext);
            return this.fromNtt(this.#decrypt(decryptor, ciphertext));
          }),
        [Symbol.dispose]: () => decryptor.delete(),
      };
    });
  }

  #decrypt(decryptor: Decryptor, ciphertext: Ciphertext): Residues {
    using plaintext = new this.#seal.Plaintext();
    decryptor.decrypt(ciphertext, plaintext);
    return decodeWords(plaintext.saveToArray(this.#seal.ComprModeType.none), 0, this.size, this.size);
  }
}

/** BFV encryption under a public key given as residues. */
export class BfvEncryptor {
  readonly #seal: MainModule;
  readonly #context: SEALContext;
  readonly #publicKeyFrame: Frame;
  readonly #plaintextFrame: Frame;
  readonly #ciphertextResidues: number;

  constructor(seal: MainModule, parameters: BfvParameters) {
    const { polyDegree, dataPrimes, specialPrime, plainModulus } = parameters;
    this.#seal = seal;
    const primes = [...dataPrimes, specialPrime];
    this.#context = createContext(seal, { scheme: 'bfv', polyDegree, primes, plainModulus, secure: true });
    using generator = new seal.KeyGenerator(this.#context);
    using key = generator.createPublicKey();
    this.#publicKeyFrame = frameOf(key.saveToArray(seal.ComprModeType.none), 2 * primes.length * polyDegree);
    using plaintext = new seal.Plaintext(polyDegree);
    this.#plaintextFrame = frameOf(plaintext.saveToArray(seal.ComprModeType.none), polyDegree);
    this.#ciphertextResidues = 2 * dataPrimes.length * polyDegree;
  }

  /**
   * Encrypts polynomials of up to n coefficients in [0, t) and hands each ciphertext (c0 then c1, coefficient form)
   * to `take`. `publicKey`: b then a, NTT form, all three primes.
   */
  encrypt(
    publicKey: Residues,
    polynomials: readonly Residues[],
    take: (residues: Residues, at: number) => void,
  ): void {
    guarded(() => {
      using key: PublicKey = new this.#seal.PublicKey();
      key.loadFromArray(this.#context, encodeFrame(this.#publicKeyFrame, publicKey));
      using encryptor = new this.#seal.Encryptor(this.#context, key);
      using plaintext = new this.#seal.Plaintext();
      using ciphertext = new this.#seal.Ciphertext();
      for (const [at, polynomial] of polynomials.entries()) {
        plaintext.loadFromArray(this.#context, encodeFrame(this.#plaintextFrame, polynomial));
        encryptor.encrypt(plaintext, ciphertext);
        const saved: Uint8Array = ciphertext.saveToArray(this.#seal.ComprModeType.none);
        take(decodeWords(saved, 0, this.#ciphertextResidues, this.#ciphertextResidues), at);
      }
    });
  }
}

export interface SealEngines {
  /** Ring over the data primes: ciphertexts, shares, partial decryptions. */
  readonly data: RingEngine;
  /** Ring over all three primes: the public key. */
  readonly key: RingEngine;
  readonly encryptor: BfvEncryptor;
}

/** A 30-bit prime, 1 modulo 2^14, that fills SEAL's special-prime slot above the three; never computed with. */
const sparePrime = 1_073_692_673n;

export async function createEngines(parameters: BfvParameters): Promise<SealEngines> {
  const seal = await initialize();
  const { polyDegree, dataPrimes, specialPrime } = parameters;
  return {
    data: new RingEngine(seal, polyDegree, dataPrimes, specialPrime, true),
    // log2 q of this context would include the spare prime, so SEAL's own check is off; assertLatticeSecurity holds.
    key: new RingEngine(seal, polyDegree, [...dataPrimes, specialPrime], sparePrime, false),
    encryptor: new BfvEncryptor(seal, parameters),
  };
}
