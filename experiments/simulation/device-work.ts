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
import { plainUpdate } from '../../client/training/strategies/index.ts';
import { ensure } from '../../crypto/error.ts';
import { getSuite, type Suite } from '../../crypto/identity/suite.ts';
import { type RandomSource, SeededStreams, systemRandom } from '../../crypto/random.ts';
import type { Secagg, SumScheme } from '../../crypto/secagg/scheme.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { vectorLength } from '../../protos/plan-mechanism.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { RoundConfig } from '../../protos/round-config.ts';
import { uploadDigestOfParts } from '../../protos/statements.ts';
import { strategyOf } from '../../protos/strategies/index.ts';
import type { DeviceMemories } from './device-memories.ts';
import { type DeviceNames, rowsOf, type VirtualPopulation } from './population.ts';

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
  readonly names: DeviceNames;
  /** What devices keep between rounds, where the strategy asks for it. */
  readonly memories: DeviceMemories | null;
}

/** Uploads of a batch, side by side in its order. */
export interface BatchUploads {
  /** Body, then holder part, of each device. */
  readonly bytes: Uint8Array;
  /** 32 bytes each. */
  readonly digests: Uint8Array;
  readonly bodyDigests: Uint8Array;
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
    this.#many = canTrainMany(parsed, config, engine) ? new ManyDevices(parts, terms, engine) : null;
  }

  async run(devices: Uint32Array): Promise<BatchUploads> {
    const bytes = new Uint8Array(devices.length * this.#uploadBytes);
    const digests = new Uint8Array(devices.length * DIGEST_BYTES);
    const bodyDigests = new Uint8Array(devices.length * DIGEST_BYTES);
    const streams = this.#openStreams(devices);
    this.#many?.train(devices);
    const suite = this.#suite;
    for (let i = 0; i < devices.length; i++) {
      const random = streams?.at(i) ?? systemRandom;
      const digits = this.#many?.digits(i, random) ?? (await this.#contribute(devices[i]!, random));
      const upload = bytes.subarray(i * this.#uploadBytes, (i + 1) * this.#uploadBytes);
      this.#seal(devices[i]!, digits, upload, random);
      const body = suite.digest(upload.subarray(0, this.#bodyBytes));
      const holderPart = suite.digest(upload.subarray(this.#bodyBytes));
      bodyDigests.set(body, i * DIGEST_BYTES);
      digests.set(uploadDigestOfParts(suite, body, holderPart), i * DIGEST_BYTES);
    }
    return { bytes, digests, bodyDigests };
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

  #seal(device: number, digits: Int32Array, upload: Uint8Array, random: RandomSource): void {
    const { secagg, names } = this.#parts;
    const { configHash, committeeKey } = this.#terms;
    const context = { configHash, deviceId: names.deviceId(device) };
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
  #trained = new Float32Array(0);

  constructor(parts: DeviceWorkParts, terms: DeviceRoundTerms, engine: ManyEngine) {
    this.#parts = parts;
    this.#terms = terms;
    this.#engine = engine;
    this.#protector = new RoundProtector(parts.parsed, terms.config);
  }

  /** As `plain` of client/training/strategies does for one. */
  train(devices: Uint32Array): void {
    const { parsed, population } = this.#parts;
    const { plan } = parsed;
    const { epochs, batchSize, learningRate, l2, strategy, proximalMu } = plan.training;
    const { data, offsets } = gatherRows(population, devices);
    const { weights, config } = this.#terms;
    this.#rows = Array.from(devices, (_, i) => offsets[i + 1]! - offsets[i]!);
    const length = devices.length * weights.length;
    if (this.#trained.length < length) this.#trained = new Float32Array(length);
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
    return this.#protector.digits(plainUpdate(plan, weights, trained, this.#rows[slot]!), random);
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
  const features = new Float32Array(count * inputs);
  const labels = table.labels instanceof Float32Array ? new Float32Array(count) : new Uint8Array(count);
  for (let i = 0; i < devices.length; i++) {
    const [from, to] = [all[devices[i]!]!, all[devices[i]! + 1]!];
    let at = offsets[i]! * inputs;
    for (let k = from * inputs; k < to * inputs; k++) features[at++] = table.features[k]!;
    for (let row = from; row < to; row++) labels[offsets[i]! + row - from] = table.labels[row]!;
  }
  return { data: { features, labels, count }, offsets };
}
