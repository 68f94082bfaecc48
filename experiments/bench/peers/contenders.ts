/**
 * The systems that bench:peers sums with: ours over the very code of the roles, the others through peers.py.
 *
 * Each adds the same integer vectors, client by client, and returns what opened with what it cost. Trusts:
 * nothing; benchmarks only. May be called by: peers-bench.ts.
 */
import { intlSuite } from '../../../crypto/identity/suite-intl.ts';
import { randomBytes, systemRandom, uniform } from '../../../crypto/random.ts';
import type { Secagg } from '../../../crypto/secagg/scheme.ts';
import { uploadDigest, uploadStatement } from '../../../protos/statements.ts';
import type { PreparedCase } from '../secagg/cases.ts';
import { openUploads } from '../secagg/exactness.ts';
import { measureServer } from '../secagg/measure.ts';
import {
  bindingOf,
  type Client,
  type Committee,
  createClient,
  createCommittee,
  sealVector,
  type Upload,
} from '../secagg/parties.ts';
import type { Wire } from '../secagg/wire.ts';
import type { PythonPeer } from './python-peer.ts';

/** One round of one contender; milliseconds per client unless the name says otherwise. */
export interface Sample {
  /** What opened, in the order of the entries. */
  readonly sums: ArrayLike<number>;
  /** Largest error of an entry that the scheme states for itself; 0 is exact. */
  readonly tolerance: number;
  /** Encryption, serialisation and what binds the upload to the client: digest and signature. */
  readonly clientMs: readonly number[];
  /** Encryption and serialisation alone. */
  readonly clientCryptoMs: readonly number[];
  /** clientMs and the steps of differential privacy before it, all but the noise; doubles to signed bytes. */
  readonly clientPipelineMs?: readonly number[];
  readonly noiseMs?: readonly number[];
  readonly serverMs: readonly number[];
  /** Deserialisation and addition alone. */
  readonly serverCryptoMs: readonly number[];
  /** The slowest key holder. */
  readonly holderMs?: number;
  /** Once per round. */
  readonly openMs: number;
  readonly uploadBytes: number;
  /** Before the compression that the system applies itself. */
  readonly uncompressedBytes?: number;
  /** Of uploadBytes, the message with the masked vector. */
  readonly maskedBytes?: number;
  /** The encrypted sum, which every client fetches to decrypt it. */
  readonly releaseBytes?: number;
  /** CPU time over elapsed time; well below 1 means that the machine was busy with something else. */
  readonly cpuShare: number;
}

export interface Contender {
  readonly name: string;
  readonly label: string;
  /** Clients per round; they take the vectors in turn. */
  readonly clients: number;
  run(): Promise<Sample>;
}

const CKKS_TOLERANCE = 2 ** -10;

/** NVFlare's key setting (every client holds the secret key) and TenSEAL's default. */
export function tenseal(peer: PythonPeer, encryption: 'symmetric' | 'public', clients: number): Contender {
  return {
    name: `tenseal-ckks-${encryption}`,
    label: encryption === 'symmetric' ? 'TenSEAL CKKS as in NVFlare' : 'TenSEAL CKKS, public key',
    clients,
    async run() {
      const { answer, sums } = await peer.run({ contender: 'tenseal', encryption, clients });
      const plus = (a: readonly number[], b: readonly number[]) => a.map((ms, i) => ms + b[i]!);
      return {
        sums,
        tolerance: CKKS_TOLERANCE,
        clientMs: plus(answer.client_ms, answer.sign_ms!),
        clientCryptoMs: answer.client_ms,
        serverMs: plus(answer.server_ms, answer.verify_ms!),
        serverCryptoMs: answer.server_ms,
        openMs: answer.open_ms,
        uploadBytes: answer.upload_bytes,
        uncompressedBytes: answer.uncompressed_bytes!,
        releaseBytes: answer.release_bytes!,
        cpuShare: answer.cpu_share,
      };
    },
  };
}

/** Flower's own client mod and server workflow; `shares` counts a client and the neighbours it masks with. */
export function secAggPlus(peer: PythonPeer, shares: number, threshold: number, clients: number): Contender {
  return {
    name: `flower-secaggplus-${shares}`,
    label: `Flower SecAgg+, ${shares} shares`,
    clients,
    async run() {
      const command = { contender: 'flower', shares, threshold, clients };
      const { answer, sums } = await peer.run(command);
      return {
        sums,
        tolerance: answer.tolerance!,
        clientMs: answer.client_ms,
        clientCryptoMs: answer.client_ms,
        serverMs: answer.server_ms,
        serverCryptoMs: answer.server_ms,
        openMs: answer.open_ms,
        uploadBytes: answer.upload_bytes,
        maskedBytes: answer.masked_bytes!,
        cpuShare: answer.cpu_share,
      };
    },
  };
}

const vectorOf = (dimension: number): Float64Array =>
  Float64Array.from({ length: dimension }, () => uniform(systemRandom) - 0.5);

export class Pulsefold implements Contender {
  readonly name = 'pulsefold-shares';
  readonly label = 'Pulsefold';
  readonly clients: number;
  /** What every contender adds: updates after clipping, rotation, rounding and noise. */
  readonly slots: readonly Int32Array[];
  readonly #secagg: Secagg;
  readonly #wire: Wire;
  readonly #one: PreparedCase;
  readonly #committee: Committee;
  readonly #vector: Float64Array;

  constructor(secagg: Secagg, wire: Wire, one: PreparedCase, clients: number) {
    this.clients = clients;
    this.#secagg = secagg;
    this.#wire = wire;
    this.#one = one;
    this.#committee = createCommittee(secagg, one.transport);
    this.#vector = vectorOf(one.dimension);
    const configHash = randomBytes(32);
    this.slots = Array.from(
      { length: clients },
      () => this.#sealWhole(createClient(), configHash).upload.slots,
    );
  }

  #sealWhole(client: Client, configHash: Uint8Array) {
    return sealVector(this.#secagg, this.#one, client, this.#committee.publicKey, configHash, this.#vector);
  }

  /** Seals slots that exist already, so that only the cryptography is timed. */
  #sealSlots(client: Client, configHash: Uint8Array, slots: Int32Array) {
    const { deviceId, signing } = client;
    const started = performance.now();
    const { body, holderPart } = this.#secagg.seal(
      this.#one.scheme,
      { configHash, deviceId },
      this.#committee.publicKey,
      slots,
      systemRandom,
    );
    const sealed = performance.now();
    const digest = uploadDigest(intlSuite, body, holderPart);
    const statement = uploadStatement({ ...bindingOf(configHash), deviceId, digest });
    const signature = intlSuite.sign(signing.secretKey, statement);
    const signed = performance.now();
    const upload: Upload = { body, holderPart, deviceId, slots, digest, signature };
    return { upload, sealMs: sealed - started, signedMs: signed - started };
  }

  async run(): Promise<Sample> {
    const configHash = randomBytes(32);
    const cpu = process.cpuUsage();
    const started = performance.now();
    const clients = this.slots.map(() => createClient());
    const whole = clients.map((client) => this.#sealWhole(client, configHash).times);
    const sealed = clients.map((client, i) => this.#sealSlots(client, configHash, this.slots[i]!));
    const uploads = sealed.map(({ upload }) => upload);
    const opened = openUploads(this.#secagg, this.#one, this.#committee, configHash, uploads);
    const server = measureServer(this.#secagg, this.#one, uploads, clients, configHash);
    const { user, system } = process.cpuUsage(cpu);
    const cpuShare = (user + system) / 1000 / (performance.now() - started);
    return {
      sums: opened.sums,
      tolerance: 0,
      clientMs: sealed.map(({ signedMs }) => signedMs),
      clientCryptoMs: sealed.map(({ sealMs }) => sealMs),
      clientPipelineMs: whole.map(({ clientMs }) => clientMs),
      noiseMs: whole.map(({ noiseMs }) => noiseMs),
      serverMs: [server.serverMs],
      serverCryptoMs: [server.foldMs],
      holderMs: opened.holderMs,
      openMs: opened.openMs,
      uploadBytes: await this.#wire.send(uploads[0]!, configHash),
      cpuShare,
    };
  }
}
