/**
 * The whole-upload vector of crypto/vectors/long.json: two devices of suite intl, transport shares, long cipher, from the
 * configuration of the round to the opened sum; statement and signature under fixed keys.
 *
 * Statements are built here from docs/protocol.md with `transcript` alone; protos/statements.test.ts compares them with
 * what the roles sign. Trusts: nothing to keep secret. May be called by: testing-vectors.ts, *.test.ts.
 */
import { createHash } from 'node:crypto';
import { concat, toHex, transcript, utf8 } from '../../bytes.ts';
import { subjectIdOf } from '../../identity/identity.ts';
import { getSuite } from '../../identity/suite.ts';
import { canonicalJson } from '../../log/canonical-json.ts';
import { randomBytes, seededRandom } from '../../random.ts';
import {
  joinRoundKeys,
  makeRoundKey,
  openShares,
  SeedSum,
  sealShares,
  unmask,
  WordFolder,
} from '../shares/index.ts';
import type { LongEngine } from './engine.ts';
import { aSeedOf, chooseLong, type LongParameters, sealLong } from './index.ts';

export const sha256Hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Little-endian int32. */
export const bytesOfIntegers = (values: Int32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Hexadecimal up to 2,048 bytes, else `sha256:` and the digest. */
export const shown = (bytes: Uint8Array): string =>
  bytes.length <= 2048 ? toHex(bytes) : `sha256:${sha256Hex(bytes)}`;

export interface UploadDeviceVector {
  readonly signingSecretKey: string;
  readonly signingPublicKey: string;
  readonly deviceId: string;
  /** Names the generator that slots, key, errors and seeds are drawn from, in this order. */
  readonly source: string;
  readonly slots: readonly number[];
  /** SHA-256 of the key as int8, packed c, masked key: what the body is made of. */
  readonly packed: string;
  readonly maskedKey: string;
  readonly holderPart: string;
  readonly bodyDigest: string;
  readonly holderPartDigest: string;
  readonly digest: string;
  readonly statement: string;
  readonly signature: string;
  readonly leaf: string;
}

export interface UploadVector {
  readonly name: string;
  readonly suite: 'intl';
  readonly kem: 'x25519';
  readonly committeeSecretKeys: readonly string[];
  readonly committeeKey: string;
  readonly committeeKeyId: string;
  readonly planHash: string;
  readonly modelHash: string;
  readonly round: number;
  /** Canonical JSON of the round's configuration. */
  readonly config: string;
  readonly configHash: string;
  readonly parameters: LongParameters;
  readonly bodyBytes: number;
  readonly devices: readonly UploadDeviceVector[];
  readonly bodySum: string;
  readonly partials: readonly string[];
  readonly secretSum: string;
  readonly opened: readonly number[];
}

const suite = getSuite('intl');
const HOLDERS = [1, 2, 3, 4];

interface Setup {
  readonly binding: readonly [Uint8Array, number, Uint8Array, Uint8Array, Uint8Array];
  readonly committeeKey: Uint8Array;
  readonly secretKeys: readonly Uint8Array[];
  readonly config: string;
  readonly parameters: LongParameters;
}

function makeSetup(): Setup {
  const random = seededRandom('pulsefold upload committee');
  const pairs = HOLDERS.map(() => makeRoundKey(suite, 'x25519', random));
  const committeeKey = joinRoundKeys(
    suite,
    pairs.map(({ publicKey }) => publicKey),
  );
  const parameters = chooseLong({
    ...{ slotCount: 60, slotBits: 12, clients: 3, honestClients: 2 },
    ...{ shortSum: 'shares', shortBytesPerSlot: 2 },
  });
  const planHash = randomBytes(32, random);
  const modelHash = randomBytes(32, random);
  const committeeKeyId = suite.digest(committeeKey);
  const config = canonicalJson({
    ...{ version: 1, planHash: toHex(planHash), round: 3, kind: 'training', modelHash: toHex(modelHash) },
    ...{ committeeKeyId: toHex(committeeKeyId), digitCount: 60, openedAtMs: 1_700_000_000_000 },
  });
  const configHash = suite.digest(transcript('round-config', utf8(config)));
  return {
    binding: [planHash, 3, modelHash, configHash, committeeKeyId],
    committeeKey,
    secretKeys: pairs.map(({ secretKey }) => secretKey),
    config,
    parameters,
  };
}

export const uploadSlots = (source: string, count: number): Int32Array => {
  const random = seededRandom(`${source} slots`);
  return Int32Array.from(randomBytes(count, random), (byte) => byte - 128);
};

interface MadeDevice {
  readonly vector: UploadDeviceVector;
  readonly body: Uint8Array;
  readonly holderPart: Uint8Array;
}

function makeDevice(engine: LongEngine, setup: Setup, number: number): MadeDevice {
  const { parameters, committeeKey, binding } = setup;
  const source = `pulsefold upload device ${number}`;
  const signing = suite.generateSigningKey(seededRandom(`${source} key`));
  const deviceId = subjectIdOf('client', 'intl', signing.publicKey);
  const random = seededRandom(source);
  const configHash = binding[3];
  const slots = uploadSlots(source, parameters.slotCount);
  const { packed, secret } = sealLong(engine, parameters, { configHash, slots, random });
  const context = { suite, configHash, deviceId, wordBits: 16 } as const;
  const { body: maskedKey, holderPart } = sealShares(context, committeeKey, secret, random);
  const body = concat(packed, maskedKey);
  const [bodyDigest, holderPartDigest] = [suite.digest(body), suite.digest(holderPart)];
  const digest = suite.digest(utf8('pulsefold/v1/upload-digest'), bodyDigest, holderPartDigest);
  const statement = transcript('upload', ...binding, deviceId, digest);
  const vector: UploadDeviceVector = {
    signingSecretKey: toHex(signing.secretKey),
    signingPublicKey: toHex(signing.publicKey),
    deviceId,
    source,
    slots: [...slots],
    packed: shown(packed),
    maskedKey: shown(maskedKey),
    holderPart: toHex(holderPart),
    bodyDigest: toHex(bodyDigest),
    holderPartDigest: toHex(holderPartDigest),
    digest: toHex(digest),
    statement: toHex(statement),
    signature: toHex(suite.sign(signing.secretKey, statement)),
    leaf: toHex(transcript('cohort-entry', statement)),
  };
  return { vector, body, holderPart };
}

export function makeUploadVector(engine: LongEngine): UploadVector {
  const setup = makeSetup();
  const { parameters, committeeKey, secretKeys, binding } = setup;
  const [planHash, round, modelHash, configHash, committeeKeyId] = binding;
  const made = [1, 2].map((number) => makeDevice(engine, setup, number));
  const count = parameters.polyDegree;
  const split = parameters.packedBytes;
  const folder = engine.folder(parameters);
  const words = new WordFolder(count, 16);
  for (const { body } of made) {
    folder.add(body.subarray(0, split));
    words.add(body.subarray(split));
  }
  const partials = HOLDERS.map((holderIndex) => {
    const sum = new SeedSum(count, 16, suite, configHash);
    for (const { vector, holderPart } of made) {
      const context = { suite, configHash, deviceId: vector.deviceId, wordBits: 16 } as const;
      const secretKey = secretKeys[holderIndex - 1]!;
      const { seeds } = openShares(context, { holderPart, committeeKey, holderIndex, secretKey });
      sum.add(vector.deviceId, seeds);
    }
    return sum.bytes();
  });
  const secretSum = unmask({
    ...{ bodySum: words.bytes(), wordBits: 16, count, activeSet: [1, 2, 3] },
    partials: partials.slice(0, 3),
  });
  const sums = folder.bytes();
  const opened = engine.open(parameters, { aSeed: aSeedOf(configHash), sums, secretSum, cohort: 2 });
  return {
    ...{ name: 'two uploads, shares and long', suite: 'intl', kem: 'x25519' },
    committeeSecretKeys: secretKeys.map(toHex),
    committeeKey: toHex(committeeKey),
    committeeKeyId: toHex(committeeKeyId),
    planHash: toHex(planHash),
    modelHash: toHex(modelHash),
    round,
    config: setup.config,
    configHash: toHex(configHash),
    parameters,
    bodyBytes: parameters.bodyBytes,
    devices: made.map(({ vector }) => vector),
    bodySum: shown(concat(sums, words.bytes())),
    partials: partials.map(shown),
    secretSum: shown(bytesOfIntegers(secretSum)),
    opened: [...opened],
  };
}
