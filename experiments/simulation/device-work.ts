/**
 * What a batch of virtual devices does in a round: train, protect, seal, hash. The client's own functions, one device
 * after the other, with nothing kept of any of them.
 *
 * A device's randomness depends on seed, round and device alone, so the batch it is in and the thread that runs it make
 * no difference. Trusts: its caller for everything. May be called by: device-pool.ts, device-worker.ts.
 */
import { protectContribution, RoundProtector } from '../../client/agent/protect.ts';
import type { TrainEngine, TrainingData } from '../../client/training/engine.ts';
import type { KernelEngine } from '../../client/training/kernel-engine.ts';
import { contributionLength, plainUpdate } from '../../client/training/strategies/index.ts';
import { LeafMaker } from '../../coordinator/rounds/cohort-leaves.ts';
import { fromHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { getSuite, type Suite } from '../../crypto/identity/suite.ts';
import { type RandomSource, SeededStreams, systemRandom } from '../../crypto/random.ts';
import type { Secagg, SumScheme } from '../../crypto/secagg/scheme.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { vectorLength } from '../../protos/plan-mechanism.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { RoundConfig } from '../../protos/round-config.ts';
import { type RoundBinding, uploadDigestOfParts } from '../../protos/statements.ts';
import { strategyOf } from '../../protos/strategies/index.ts';
import type { DeviceMemories } from './device-memories.ts';
import { type Names, rowsOf, type VirtualPopulation } from './population.ts';

/** A round as the devices see it. */
export interface DeviceRoundTerms {
  readonly config: RoundConfig;
  readonly configHash: Uint8Array;
  readonly weights: Float32Array;
  readonly committeeKey: Uint8Array;
}

/** What devices train with; the kernel also trains many at once. */
export type Engine = Pick<TrainEngine, 'train' | 'recordGradients' | 'predict'> &
  Partial<Pick<KernelEngine, 'trainMany'>>;

export interface DeviceWorkParts {
  readonly parsed: ParsedPlan;
  readonly population: VirtualPopulation;
  readonly seed: string;
  readonly noise: 'seeded' | 'system';
  readonly engine: Engine;
  readonly secagg: Secagg;
  readonly names: Pick<Names, 'deviceId'>;
  /** What devices keep between rounds, where the strategy asks for it. */
  readonly memories: DeviceMemories | null;
}

/** Uploads of a batch, side by side in its order. */
export interface BatchUploads {
  /** Body, then holder part, of each device. */
  readonly bytes: Uint8Array;
  /** 32 bytes each: of the upload, of its body, and the leaf of its entry in the cohort's tree. */
  readonly digests: Uint8Array;
  readonly bodyDigests: Uint8Array;
  readonly leaves: Uint8Array;
}

const DIGEST_BYTES = 32;
/** Randomness of a short vector's rounding and noise, per entry and in all (crypto/dp/person-protector.ts). */
const RANDOM_BYTES_ENTRY = 10;
const RANDOM_BYTES = 128;

export class DeviceWork {
  readonly #parts: DeviceWorkParts;
  readonly #terms: DeviceRoundTerms;
  readonly #scheme: SumScheme;
  readonly #suite: Suite;
  readonly #uploadBytes: number;
  readonly #bodyBytes: number;
  readonly #randomBytes: number;
  readonly #many: ManyDevices | null;
  readonly #binding: RoundBinding;
  readonly #leaves: LeafMaker;
  /** Digest of a holder part that there is not. */
  readonly #noPart: Uint8Array;

  constructor(parts: DeviceWorkParts, terms: DeviceRoundTerms) {
    const { parsed, engine } = parts;
    const { config } = terms;
    this.#parts = parts;
    this.#terms = terms;
    this.#scheme = schemeOf(parsed, config.kind).scheme;
    this.#suite = getSuite(parsed.plan.suite);
    const { body, holderPart } = parts.secagg.sizes(this.#scheme);
    this.#bodyBytes = body;
    this.#uploadBytes = body + holderPart;
    this.#randomBytes = RANDOM_BYTES + RANDOM_BYTES_ENTRY * vectorLength(parsed.plan, config.kind);
    this.#binding = {
      planHash: fromHex(config.planHash),
      round: config.round,
      modelHash: fromHex(config.modelHash),
      configHash: terms.configHash,
      committeeKeyId: fromHex(config.committeeKeyId),
    };
    this.#leaves = new LeafMaker(this.#binding);
    this.#noPart = this.#suite.digest(new Uint8Array(0));
    this.#many = canTrainMany(parsed, config, engine) ? new ManyDevices(parts, terms, engine) : null;
  }

  async run(devices: Uint32Array): Promise<BatchUploads> {
    const hashes = () => new Uint8Array(devices.length * DIGEST_BYTES);
    const uploads = {
      bytes: new Uint8Array(devices.length * this.#uploadBytes),
      digests: hashes(),
      bodyDigests: hashes(),
      leaves: hashes(),
    };
    const streams = this.#openStreams(devices);
    this.#many?.train(devices);
    for (let i = 0; i < devices.length; i++) {
      const random = streams?.at(i) ?? systemRandom;
      const digits = this.#many?.digits(i, random) ?? (await this.#contribute(devices[i]!, random));
      const upload = uploads.bytes.subarray(i * this.#uploadBytes, (i + 1) * this.#uploadBytes);
      const deviceId = this.#parts.names.deviceId(devices[i]!);
      this.#seal(deviceId, digits, upload, random);
      this.#hash(deviceId, upload, uploads, i);
    }
    return uploads;
  }

  #hash(deviceId: string, upload: Uint8Array, hashes: Omit<BatchUploads, 'bytes'>, slot: number): void {
    const suite = this.#suite;
    const body = suite.digest(upload.subarray(0, this.#bodyBytes));
    const holderPart =
      upload.length === this.#bodyBytes ? this.#noPart : suite.digest(upload.subarray(this.#bodyBytes));
    const digest = uploadDigestOfParts(suite, body, holderPart);
    hashes.bodyDigests.set(body, slot * DIGEST_BYTES);
    hashes.digests.set(digest, slot * DIGEST_BYTES);
    hashes.leaves.set(this.#leaves.hash({ ...this.#binding, deviceId, digest }), slot * DIGEST_BYTES);
  }

  /** Of this job alone: another one may run between two devices of this one. */
  #openStreams(devices: Uint32Array): SeededStreams | null {
    const { parsed, noise, seed } = this.#parts;
    if (noise !== 'seeded') return null;
    const name = `simulation/noise/${seed}/${parsed.hashHex}/${this.#terms.config.round}`;
    const streams = new SeededStreams(name, this.#randomBytes);
    streams.open(devices);
    return streams;
  }

  async #contribute(device: number, random: RandomSource): Promise<Int32Array> {
    const { parsed, population, engine, memories } = this.#parts;
    const { config, weights } = this.#terms;
    const tables = config.kind === 'training' ? population : population.evaluation;
    ensure(tables, 'NOT_ELIGIBLE', 'this population has no rows for evaluations');
    const data = copyOf(rowsOf(tables, population.inputs, device));
    const memory = memories?.of(device);
    return protectContribution({ parsed, config, weights, data, engine, random, memory });
  }

  #seal(deviceId: string, digits: Int32Array, upload: Uint8Array, random: RandomSource): void {
    const { secagg } = this.#parts;
    const { configHash, committeeKey } = this.#terms;
    const context = { configHash, deviceId };
    const { body, holderPart } = secagg.seal(this.#scheme, context, committeeKey, digits, random);
    upload.set(body);
    if (holderPart.length > 0) upload.set(holderPart, body.length);
  }
}

/** Engines are given memory of their own thread: tensor libraries do not take shared one. */
const copyOf = ({ features, labels, count }: TrainingData): TrainingData => ({
  features: features.slice(),
  labels: labels.slice() as TrainingData['labels'],
  count,
});

const NONE = new Float32Array(0);

/**
 * Memory of a thread for one batch, until its next one begins: made anew for each, it would have the garbage collector
 * run all the time. A batch of many devices is worked off without a turn for another.
 */
class Scratch {
  #floats = NONE;
  /** Of this length, filled with whatever was there. */
  floats(length: number): Float32Array {
    if (this.#floats.length < length) this.#floats = new Float32Array(length);
    return this.#floats.subarray(0, length);
  }
}
const gathered = new Scratch();
const results = new Scratch();

type ManyEngine = Engine & Required<Pick<Engine, 'trainMany'>>;

/** Plain strategies of dense models: local epochs from the received model, whose difference is all that is sent. */
function canTrainMany({ plan }: ParsedPlan, { kind }: RoundConfig, engine: Engine): engine is ManyEngine {
  return (
    engine.trainMany !== undefined &&
    kind === 'training' &&
    plan.privacy?.unit !== 'record' &&
    strategyOf(plan).local === 'plain' &&
    ['lr', 'mlp'].includes(plan.model.kind)
  );
}

/** A batch trained by one call. */
class ManyDevices {
  readonly #parts: DeviceWorkParts;
  readonly #terms: DeviceRoundTerms;
  readonly #engine: ManyEngine;
  readonly #protector: RoundProtector;
  #rows: number[] = [];
  #trained: Float32Array = NONE;
  readonly #update: Float64Array;

  constructor(parts: DeviceWorkParts, terms: DeviceRoundTerms, engine: ManyEngine) {
    this.#parts = parts;
    this.#terms = terms;
    this.#engine = engine;
    this.#protector = new RoundProtector(parts.parsed, terms.config);
    this.#update = new Float64Array(contributionLength(parts.parsed.plan));
  }

  /** As `plain` of client/training/strategies does for one. */
  train(devices: Uint32Array): void {
    const { parsed, population } = this.#parts;
    const { plan } = parsed;
    const { epochs, batchSize, learningRate, l2, strategy, proximalMu } = plan.training;
    const { data, offsets } = gatherRows(population, devices);
    const { weights, config } = this.#terms;
    this.#rows = Array.from(devices, (_, i) => offsets[i + 1]! - offsets[i]!);
    this.#trained = results.floats(devices.length * weights.length);
    const seed = `${plan.seed}/${config.round}`;
    const options = {
      epochs,
      batchSize,
      learningRate,
      l2,
      proximalMu: strategy === 'fedprox' ? proximalMu : 0,
      seed,
    };
    this.#engine.trainMany(plan.model, weights, data, offsets, options, () => seed, this.#trained);
  }

  digits(slot: number, random: RandomSource): Int32Array {
    const { plan } = this.#parts.parsed;
    const { weights } = this.#terms;
    const trained = this.#trained.subarray(slot * weights.length, (slot + 1) * weights.length);
    plainUpdate(plan, weights, trained, this.#rows[slot]!, this.#update);
    return this.#protector.digits(this.#update, random);
  }
}

/** The devices' rows side by side. */
function gatherRows(
  { table, offsets: all, inputs }: VirtualPopulation,
  devices: Uint32Array,
): { data: TrainingData; offsets: Uint32Array } {
  const offsets = new Uint32Array(devices.length + 1);
  for (let i = 0; i < devices.length; i++) {
    const device = devices[i]!;
    offsets[i + 1] = offsets[i]! + all[device + 1]! - all[device]!;
  }
  const count = offsets.at(-1)!;
  const features = gathered.floats(count * inputs);
  const labels = table.labels instanceof Float32Array ? new Float32Array(count) : new Uint8Array(count);
  for (let i = 0; i < devices.length; ) {
    // Neighbours at once: one-row devices come by the thousand.
    const first = devices[i]!;
    const at = offsets[i]!;
    for (i++; i < devices.length && devices[i] === devices[i - 1]! + 1; ) i++;
    const [from, to] = [all[first]!, all[devices[i - 1]! + 1]!];
    features.set(table.features.subarray(from * inputs, to * inputs), at * inputs);
    labels.set(table.labels.subarray(from, to), at);
  }
  return { data: { features, labels, count }, offsets };
}
