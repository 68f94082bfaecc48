/**
 * The four key holders of a simulation without identities: they sign certificates, aborts and answers with their real
 * keys and open real sums, and take for granted what the coordinator says of devices and cohorts.
 *
 * For `identity: none`. With `identity: signed` the key holders are those of keyholder/: signed-holders.ts, which leaves
 * the committee keys and answers of `seal: none` to this file, and real-holders.ts under a seal.
 * Trusts: the coordinator of the same process. May be called by: experiments/simulation.
 */

import type {
  Acceptance,
  CeremonyReply,
  Draw,
  Entry,
  HolderPort,
  OpenPart,
  OpenRequest,
  PartialOpening,
  StatementSignature,
} from '../../coordinator/rounds/holder-port.ts';
import { toHex, transcript } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { getSuite, type Suite } from '../../crypto/identity/suite.ts';
import { type Bfv, loadBfv } from '../../crypto/secagg/bfv.ts';
import { type LocalCommittee, runCeremony } from '../../crypto/secagg/local-ceremony.ts';
import {
  agreedDraws,
  joinRoundKeys,
  makeRoundKey,
  PartitionDraw,
  partitionOf,
  partitionSeed,
  SeedSum,
  SharesOpener,
} from '../../crypto/secagg/shares/index.ts';
import { committeeKeyIdOf } from '../../protos/keyholder-messages.ts';
import { type ParsedPlan, parsePlanBytes } from '../../protos/plan.ts';
import { digitCountOf, kemOfPlan, schemeOf } from '../../protos/plan-scheme.ts';
import {
  abortStatement,
  certificateStatement,
  committeeKeyStatement,
  partialStatement,
  partitionDrawStatement,
} from '../../protos/statements.ts';
import { type HolderKeys, type Parties, SIMULATION_HOLDERS } from './parties.ts';
import { PLAIN_PARTIAL } from './plain-sums.ts';
import { freshRandom, type RandomOf } from './seeds.ts';

export type Seal = 'none' | 'bfv' | 'shares';

const NONE = new Uint8Array(0);

type CertifyRequest = Parameters<HolderPort['certify']>[0];
/** The coordinator names the device; without a certificate nothing else does. */
type NamedEntry = Entry & { readonly deviceId: string };

interface RoundKey {
  readonly publicKey: Uint8Array;
  readonly keyId: Uint8Array;
  /** Transport shares, in holder order. */
  readonly secretKeys: readonly Uint8Array[];
  readonly committee: LocalCommittee | null;
}

/** One round as the four know it. */
interface SharedRound {
  certified: readonly string[];
}

/** What the four share because they live in one process. */
class Committee {
  readonly suite: Suite;
  readonly seal: Seal;
  readonly plans = new Map<string, ParsedPlan>();
  readonly #keys = new Map<string, Promise<RoundKey>>();
  readonly #rounds = new Map<string, SharedRound>();
  readonly #randomOf: RandomOf;
  bfv: Bfv | null = null;

  constructor(suite: Suite, seal: Seal, randomOf: RandomOf) {
    this.suite = suite;
    this.seal = seal;
    this.#randomOf = randomOf;
  }

  plan(planHash: Uint8Array): ParsedPlan {
    const parsed = this.plans.get(toHex(planHash));
    ensure(parsed, 'WRONG_PLAN', 'this plan was never registered');
    return parsed;
  }

  key(planHash: Uint8Array, round: number): Promise<RoundKey> {
    const name = `${toHex(planHash)}/${round}`;
    const known = this.#keys.get(name) ?? this.#makeKey(planHash, round);
    this.#keys.set(name, known);
    return known;
  }

  async #makeKey(planHash: Uint8Array, round: number): Promise<RoundKey> {
    const { suite, seal } = this;
    const ceremonyId = suite.digest(transcript('simulation/ceremony', planHash, round));
    if (seal === 'bfv') {
      this.bfv ??= await loadBfv();
      const random = this.#randomOf(`ceremony/${toHex(planHash)}/${round}`);
      const committee = runCeremony({ ceremonyId, random });
      return { publicKey: committee.publicKey, keyId: committee.keyId, secretKeys: [], committee };
    }
    if (seal === 'none') {
      const keyId = committeeKeyIdOf(suite, ceremonyId);
      return { publicKey: ceremonyId, keyId, secretKeys: [], committee: null };
    }
    const kem = kemOfPlan(this.plan(planHash).plan);
    const pairs = [1, 2, 3, 4].map((holder) =>
      makeRoundKey(suite, kem, this.#randomOf(`round-key/${toHex(planHash)}/${round}/${holder}`)),
    );
    const publicKey = joinRoundKeys(
      suite,
      pairs.map((pair) => pair.publicKey),
    );
    const secretKeys = pairs.map((pair) => pair.secretKey);
    return { publicKey, keyId: committeeKeyIdOf(suite, publicKey), secretKeys, committee: null };
  }

  round(planHash: Uint8Array, round: number): SharedRound {
    const name = `${toHex(planHash)}/${round}`;
    const known = this.#rounds.get(name) ?? { certified: [] };
    this.#rounds.set(name, known);
    return known;
  }

  forget(planHash: Uint8Array, round: number): void {
    const name = `${toHex(planHash)}/${round}`;
    this.#rounds.delete(name);
    this.#keys.delete(name);
  }
}

class LocalHolder implements HolderPort {
  readonly holderId: string;
  readonly #keys: HolderKeys;
  readonly #index: number;
  readonly #shared: Committee;
  /** By plan and round: this holder's three seeds of each device (transport shares). */
  readonly #seeds = new Map<string, Map<string, Uint8Array>>();

  constructor(keys: HolderKeys, index: number, shared: Committee) {
    this.holderId = keys.id;
    this.#keys = keys;
    this.#index = index;
    this.#shared = shared;
  }

  #sign(statement: Uint8Array): Uint8Array {
    return this.#shared.suite.sign(this.#keys.signing.secretKey, statement);
  }

  async registerPlan(plan: Uint8Array): Promise<void> {
    const parsed = parsePlanBytes(plan);
    if (!this.#shared.plans.has(parsed.hashHex)) this.#shared.plans.set(parsed.hashHex, parsed);
  }

  async ceremonyStep(request: Parameters<HolderPort['ceremonyStep']>[0]): Promise<CeremonyReply> {
    const { planHash, round, phase } = request;
    const part = { holderId: this.holderId, payload: NONE, signature: NONE };
    if (phase !== 'FINISH') return { part, shares: [], publicKey: NONE, keyId: NONE, keySignature: NONE };
    const { publicKey, keyId } = await this.#shared.key(planHash, round);
    const keySignature = this.#sign(committeeKeyStatement({ planHash, round, keyId }));
    return { part, shares: [], publicKey, keyId, keySignature };
  }

  async accept(planHash: Uint8Array, round: number, entries: readonly Entry[]): Promise<Acceptance> {
    const named = entries as readonly NamedEntry[];
    if (this.#shared.seal === 'shares') await this.#takeSeeds(planHash, round, named);
    return { accepted: named.map(({ deviceId }) => deviceId), rejected: [] };
  }

  async #takeSeeds(planHash: Uint8Array, round: number, entries: readonly NamedEntry[]): Promise<void> {
    const first = entries[0];
    if (!first) return;
    const { publicKey, secretKeys } = await this.#shared.key(planHash, round);
    const opener = new SharesOpener({
      suite: this.#shared.suite,
      configHash: first.configHash,
      committeeKey: publicKey,
      holderIndex: this.#index,
      secretKey: secretKeys[this.#index - 1]!,
    });
    const seeds = this.#seedsOf(planHash, round);
    for (const { deviceId, holderPart } of entries)
      if (!seeds.has(deviceId)) seeds.set(deviceId, opener.open(deviceId, holderPart).seeds);
  }

  #seedsOf(planHash: Uint8Array, round: number): Map<string, Uint8Array> {
    const name = `${toHex(planHash)}/${round}`;
    const known = this.#seeds.get(name) ?? new Map<string, Uint8Array>();
    this.#seeds.set(name, known);
    return known;
  }

  async certify(request: CertifyRequest): Promise<StatementSignature> {
    const { planHash, round, deviceIds } = request;
    this.#shared.round(planHash, round).certified = deviceIds;
    const { cohortMin, cohortMax } = this.#shared.plan(planHash).plan.rounds;
    const fits = deviceIds.length >= cohortMin && deviceIds.length <= cohortMax;
    ensure(fits, 'COHORT_TOO_SMALL', 'fewer or more devices than the plan allows');
    return this.#signed(certificateStatement({ ...request, cohortCount: deviceIds.length }));
  }

  #signed(statement: Uint8Array): StatementSignature {
    return { holderId: this.holderId, signature: this.#sign(statement) };
  }

  async abort(planHash: Uint8Array, round: number, reason: string): Promise<StatementSignature> {
    return this.#signed(abortStatement({ planHash, round, reason }));
  }

  /** A partition of plain sums follows from the certificate: there are no seeds to draw it from. */
  async draw(request: OpenRequest): Promise<Draw> {
    const { holderId } = this;
    const values = this.#values(request);
    const statement = partitionDrawStatement({
      certificate: certificateStatement(request),
      holderId,
      values,
    });
    return { holderId, values, signature: this.#sign(statement) };
  }

  #certified({ planHash, round }: OpenRequest): readonly string[] {
    return this.#shared.round(planHash, round).certified;
  }

  #values(request: OpenRequest): Uint8Array {
    const { suite, seal } = this.#shared;
    const draw = new PartitionDraw(suite, request.configHash);
    const seeds = seal === 'shares' ? this.#seedsOf(request.planHash, request.round) : null;
    if (seeds) for (const device of this.#certified(request)) draw.add(device, seeds.get(device)!);
    return draw.values();
  }

  async open(request: OpenRequest, parts: Iterable<OpenPart>): Promise<PartialOpening> {
    const { holderId } = this;
    const partial = await this.#partial(request, parts);
    const statement = partialStatement({
      certificate: certificateStatement(request),
      activeSet: request.activeSet,
      holderId,
      partialDigest: this.#shared.suite.digest(partial),
    });
    return { holderId, partial, signature: this.#sign(statement) };
  }

  async #partial(request: OpenRequest, parts: Iterable<OpenPart>): Promise<Uint8Array> {
    const { seal } = this.#shared;
    if (seal === 'none') return PLAIN_PARTIAL;
    return seal === 'bfv' ? this.#decrypt(request, parts) : this.#sumSeeds(request);
  }

  async #decrypt(request: OpenRequest, parts: Iterable<OpenPart>): Promise<Uint8Array> {
    const bfv = this.#shared.bfv!;
    const { committee } = await this.#shared.key(request.planHash, request.round);
    const { scheme } = this.#schemeOf(request);
    const sum = bfv.accumulator('c1', scheme.shortCount);
    for (const { holderPart } of parts) sum.add(holderPart);
    return bfv.partialDecrypt({
      share: committee!.shares[this.#index - 1]!.slice(),
      c1Sum: sum.bytes(),
      digitCount: scheme.shortCount,
      holderIndex: this.#index,
      activeSet: request.activeSet,
    });
  }

  #schemeOf({ planHash, digitCount }: OpenRequest) {
    const parsed = this.#shared.plan(planHash);
    return schemeOf(parsed, digitCountOf(parsed, 'training') === digitCount ? 'training' : 'evaluation');
  }

  #sumSeeds(request: OpenRequest): Uint8Array {
    const { suite } = this.#shared;
    const { shortCount, wordBits, groups: count } = this.#schemeOf(request).scheme;
    const seeds = this.#seedsOf(request.planHash, request.round);
    const devices = this.#certified(request);
    const groups = count > 1 ? this.#groupsOf(request, devices, count) : [devices];
    const sums = groups.map((members) => {
      const sum = new SeedSum(shortCount, wordBits, suite, request.configHash, count);
      for (const device of members) sum.add(device, seeds.get(device)!);
      return sum.bytes();
    });
    return new Uint8Array(Buffer.concat(sums));
  }

  #groupsOf(request: OpenRequest, devices: readonly string[], count: number): readonly (readonly string[])[] {
    const { suite } = this.#shared;
    const answers = request.draws.map(({ holderId, values }) => ({
      holderIndex: SIMULATION_HOLDERS.indexOf(holderId as (typeof SIMULATION_HOLDERS)[number]) + 1,
      values,
    }));
    const values = agreedDraws(answers).map((value) => value ?? NONE);
    return partitionOf(suite, partitionSeed(suite, certificateStatement(request), values), devices, count);
  }

  async erase(planHash: Uint8Array, round: number): Promise<void> {
    this.#seeds.delete(`${toHex(planHash)}/${round}`);
    this.#shared.forget(planHash, round);
  }
}

/** Four holders with the keys of the parties. */
export function localHolders(
  parties: Parties,
  seal: Seal,
  randomOf: RandomOf = freshRandom,
  suite = getSuite(parties.suite),
): HolderPort[] {
  const committee = new Committee(suite, seal, randomOf);
  return parties.holderKeys.map((keys, i) => new LocalHolder(keys, i + 1, committee));
}
