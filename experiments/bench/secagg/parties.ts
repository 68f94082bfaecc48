/**
 * The parties of a sum in one process: the committee of four and the sealing client, over the very code of the roles.
 *
 * Trusts: nothing; benchmarks only. May be called by: secagg-bench.ts.
 */
import { addNoise, protectPersonWithoutNoise, toDigits } from '../../../crypto/dp/mechanism.ts';
import { intlSuite } from '../../../crypto/identity/suite-intl.ts';
import { randomBytes, systemRandom } from '../../../crypto/random.ts';
import { runCeremony } from '../../../crypto/secagg/local-ceremony.ts';
import type { SealedParts, Secagg } from '../../../crypto/secagg/scheme.ts';
import { joinRoundKeys, makeRoundKey, openShares, SeedSum } from '../../../crypto/secagg/shares/index.ts';
import { uploadDigest, uploadStatement } from '../../../protos/statements.ts';
import type { PreparedCase } from './cases.ts';

export interface Committee {
  readonly publicKey: Uint8Array;
  /** Which holders answer an opening, 1-based. */
  readonly activeSet: readonly number[];
  /** The answers for a sum of these uploads, and the time that the holders took per upload (the slowest one). */
  answer(
    one: PreparedCase,
    configHash: Uint8Array,
    uploads: readonly Upload[],
  ): { partials: Uint8Array[]; holderMs: number };
}

export interface Upload extends SealedParts {
  readonly deviceId: string;
  readonly slots: Int32Array;
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
}

export function createCommittee(secagg: Secagg, transport: PreparedCase['transport']): Committee {
  return transport === 'shares' ? sharesCommittee() : bfvCommittee(secagg);
}

function sharesCommittee(): Committee {
  const keys = [1, 2, 3, 4].map(() => makeRoundKey(intlSuite, 'x25519', systemRandom));
  const publicKey = joinRoundKeys(
    intlSuite,
    keys.map((key) => key.publicKey),
  );
  const activeSet = [1, 2, 4];
  return {
    publicKey,
    activeSet,
    answer(one, configHash, uploads) {
      const { shortCount, wordBits } = one.scheme;
      let slowest = 0;
      const partials = activeSet.map((holderIndex) => {
        const start = performance.now();
        const sum = new SeedSum(shortCount, wordBits, intlSuite, configHash);
        for (const { deviceId, holderPart } of uploads) {
          const context = { suite: intlSuite, kem: 'x25519' as const, configHash, deviceId, wordBits };
          const { secretKey } = keys[holderIndex - 1]!;
          const { seeds } = openShares(context, {
            holderPart,
            committeeKey: publicKey,
            holderIndex,
            secretKey,
          });
          sum.add(deviceId, seeds);
        }
        slowest = Math.max(slowest, performance.now() - start);
        return sum.bytes();
      });
      return { partials, holderMs: slowest / uploads.length };
    },
  };
}

function bfvCommittee({ bfv }: Secagg): Committee {
  const { publicKey, shares } = runCeremony({ ceremonyId: randomBytes(32) });
  const activeSet = [1, 3];
  return {
    publicKey,
    activeSet,
    answer(one, _configHash, uploads) {
      const digitCount = one.scheme.shortCount;
      let slowest = 0;
      const partials = activeSet.map((holderIndex) => {
        const start = performance.now();
        const sum = bfv.accumulator('c1', digitCount);
        for (const { holderPart } of uploads) sum.add(holderPart);
        const share = shares[holderIndex - 1]!.slice();
        const partial = bfv.partialDecrypt({ share, c1Sum: sum.bytes(), digitCount, holderIndex, activeSet });
        slowest = Math.max(slowest, performance.now() - start);
        return partial;
      });
      return { partials, holderMs: slowest / uploads.length };
    },
  };
}

export interface Client {
  readonly deviceId: string;
  readonly signing: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
}

export const createClient = (): Client => ({
  deviceId: Buffer.from(randomBytes(16)).toString('hex'),
  signing: intlSuite.generateSigningKey(),
});

export interface ClientTimes {
  /** Clip, rotation, rounding, sealing, digest, signature. */
  readonly clientMs: number;
  readonly noiseMs: number;
}

/** One vector through the whole pipeline of a device, from doubles to signed bytes. */
export function sealVector(
  secagg: Secagg,
  one: PreparedCase,
  client: Client,
  committeeKey: Uint8Array,
  configHash: Uint8Array,
  vector: Float64Array,
): { upload: Upload; times: ClientTimes } {
  const { mechanism, scheme, layout } = one;
  const started = performance.now();
  const integers = protectPersonWithoutNoise(vector, mechanism, systemRandom);
  const noiseFrom = performance.now();
  addNoise(integers, mechanism, systemRandom);
  const noiseTo = performance.now();
  const slots = toDigits(integers, layout);
  const { deviceId, signing } = client;
  const { body, holderPart } = secagg.seal(
    scheme,
    { configHash, deviceId },
    committeeKey,
    slots,
    systemRandom,
  );
  const digest = uploadDigest(intlSuite, body, holderPart);
  const statement = uploadStatement({ ...bindingOf(configHash), deviceId, digest });
  const signature = intlSuite.sign(signing.secretKey, statement);
  const endedMs = performance.now();
  const noiseMs = noiseTo - noiseFrom;
  return {
    upload: { body, holderPart, deviceId, slots, digest, signature },
    times: { clientMs: endedMs - started - noiseMs, noiseMs },
  };
}

/** A binding as the coordinator looks it up by configuration hash. */
export const bindingOf = (configHash: Uint8Array) => ({
  planHash: new Uint8Array(32).fill(1),
  round: 1,
  modelHash: new Uint8Array(32).fill(2),
  configHash,
  committeeKeyId: new Uint8Array(32).fill(3),
});
