/**
 * A key holder in a few lines that checks, signs and decrypts for real: for tests of the coordinator only.
 *
 * It outlives restarts of the coordinator, as a process of its own would, and can be told to be away, to reject, or
 * to lie. The real one is keyholder/, which coordinator/ may not import.
 */
import { concat, equalBytes, fromHex } from '../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../crypto/error.ts';
import { CertificateVerifier } from '../crypto/identity/certificate.ts';
import { merkleRoot } from '../crypto/log/merkle.ts';
import {
  agreedDraws,
  drawOf,
  PartitionDraw,
  partitionOf,
  partitionSeed,
  SeedSum,
  SharesOpener,
} from '../crypto/secagg/shares/index.ts';
import { type ParsedPlan, parsePlanBytes, quorumOf } from '../protos/plan.ts';
import { digitCountOf, schemeOf } from '../protos/plan-scheme.ts';
import {
  abortStatement,
  type CohortCertificate,
  certificateStatement,
  committeeKeyStatement,
  entryLeaf,
  partialStatement,
  partitionDrawStatement,
  uploadDigestOfParts,
  uploadStatement,
} from '../protos/statements.ts';
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
} from './rounds/holder-port.ts';
import { committeeOf, type HolderKeys, type TestWorld } from './testing.ts';

interface HolderRound {
  /** Transport shares: seeds of the devices that it accepted. */
  readonly seeds: Map<string, Uint8Array>;
  opener: SharesOpener | null;
  readonly leaves: Map<string, Uint8Array>;
  readonly partials: Map<string, PartialOpening>;
  /** The one statement of the round. */
  statement: Uint8Array | null;
  erased: boolean;
}

export type HolderCall =
  | 'registerPlan'
  | 'ceremonyStep'
  | 'accept'
  | 'certify'
  | 'abort'
  | 'draw'
  | 'open'
  | 'erase';

export class FakeHolder implements HolderPort {
  readonly holderId: string;
  readonly calls: HolderCall[] = [];
  /** Devices that it was asked about, once per time. */
  readonly offered: string[] = [];
  /** Answers every call of these kinds with UNAVAILABLE. */
  readonly away = new Set<HolderCall>();
  /** Devices that it rejects, or everybody. */
  rejects: ReadonlySet<string> | 'everybody' = new Set();
  /** What it accepts beside its true verdict: a hostile answer. */
  claims: readonly string[] | null = null;
  /** How it lies: in partial decryptions, in its draw, or by a signature over another committee key. */
  lie: 'no' | 'wrong' | 'malformed' | 'ceremony' | 'draw' | 'unsigned draw' = 'no';
  /** Awaited before the call goes on: for stopping a round in the middle. */
  before: (call: HolderCall) => Promise<void> | void = () => {};
  readonly #world: TestWorld;
  readonly #keys: HolderKeys;
  readonly #index: number;
  readonly #verifier: CertificateVerifier;
  readonly #plans = new Map<string, ParsedPlan>();
  readonly #rounds = new Map<string, HolderRound>();

  constructor(world: TestWorld, index: number) {
    this.#world = world;
    this.#index = index;
    this.#keys = world.holderKeys[index - 1]!;
    this.holderId = this.#keys.id;
    this.#verifier = new CertificateVerifier(world.caDer);
  }

  async #arrive(call: HolderCall): Promise<void> {
    this.calls.push(call);
    await this.before(call);
    if (this.away.has(call)) throw new PulsefoldError('UNAVAILABLE', `${this.holderId} is away`);
  }

  #round(planHash: Uint8Array, round: number): HolderRound {
    const key = `${Buffer.from(planHash).toString('hex')}/${round}`;
    const known = this.#rounds.get(key) ?? {
      leaves: new Map(),
      seeds: new Map(),
      opener: null,
      partials: new Map(),
      statement: null,
      erased: false,
    };
    this.#rounds.set(key, known);
    return known;
  }

  async registerPlan(plan: Uint8Array): Promise<void> {
    await this.#arrive('registerPlan');
    const parsed = parsePlanBytes(plan);
    this.#plans.set(parsed.hashHex, parsed);
  }

  async ceremonyStep(request: Parameters<HolderPort['ceremonyStep']>[0]): Promise<CeremonyReply> {
    await this.#arrive('ceremonyStep');
    const none = new Uint8Array(0);
    const part = { holderId: this.holderId, payload: none, signature: none };
    if (request.phase !== 'FINISH')
      return { part, shares: [], publicKey: none, keyId: none, keySignature: none };
    const parsed = this.#plan(request.planHash);
    const { publicKey, keyId } = committeeOf(this.#world, parsed.plan, request.round);
    const signedKeyId = this.lie === 'ceremony' ? keyId.toReversed() : keyId;
    const { planHash, round } = request;
    const statement = committeeKeyStatement({ planHash, round, keyId: signedKeyId });
    return { part, shares: [], publicKey, keyId, keySignature: this.#sign(statement) };
  }

  async accept(planHash: Uint8Array, round: number, entries: readonly Entry[]): Promise<Acceptance> {
    await this.#arrive('accept');
    const at = this.#round(planHash, round);
    const accepted: string[] = [];
    const rejected: { deviceId: string; code: string; reason: string }[] = [];
    for (const entry of entries) {
      const { deviceId, leaf } = this.#check(entry);
      this.offered.push(deviceId);
      const refuse = this.rejects === 'everybody' || this.rejects.has(deviceId);
      const code = refuse ? 'CERTIFICATE_REVOKED' : this.#takeSeeds(at, deviceId, entry);
      if (code) rejected.push({ deviceId, code, reason: 'refused' });
      else {
        at.leaves.set(deviceId, leaf);
        accepted.push(deviceId);
      }
    }
    return { accepted: this.claims ?? accepted, rejected };
  }

  /** Opens the sealed seeds of an entry and keeps them; the code of a refusal. */
  #takeSeeds(at: HolderRound, deviceId: string, entry: Entry): string | null {
    const { suite } = this.#world;
    if (!this.#isShares(entry.planHash)) return null;
    const digest = uploadDigestOfParts(suite, entry.bodyDigest, suite.digest(entry.holderPart));
    if (!equalBytes(digest, entry.digest)) return 'DIGEST_MISMATCH';
    const committee = this.#world.sharesCommittee(entry.round);
    at.opener ??= new SharesOpener({
      suite,
      configHash: entry.configHash,
      committeeKey: committee.publicKey,
      holderIndex: this.#index,
      secretKey: committee.secretKeys[this.#index - 1]!,
    });
    try {
      at.seeds.set(deviceId, at.opener.open(deviceId, entry.holderPart).seeds);
      return null;
    } catch (error) {
      if (isPulsefoldError(error)) return error.code;
      throw error;
    }
  }

  #isShares(planHash: Uint8Array): boolean {
    return this.#plan(planHash).plan.aggregation.transport === 'shares';
  }

  #check(entry: Entry): { deviceId: string; leaf: Uint8Array } {
    const { suite } = this.#world;
    const device = this.#verifier.verify(entry.certificate, Date.now());
    ensure(device.role === 'client', 'WRONG_ROLE', 'not a client');
    const statement = { ...entry, deviceId: device.subjectId };
    const signed = suite.verify(device.signingPublicKey, uploadStatement(statement), entry.signature);
    ensure(signed, 'BAD_SIGNATURE', 'the upload is not signed by its device');
    return {
      deviceId: device.subjectId,
      leaf: entryLeaf(statement),
    };
  }

  #sign(statement: Uint8Array): Uint8Array {
    return this.#world.suite.sign(this.#keys.signing.secretKey, statement);
  }

  #signOnce(at: HolderRound, statement: Uint8Array): StatementSignature {
    ensure(
      !at.statement || equalBytes(at.statement, statement),
      'STATEMENT_CONFLICT',
      'this round already has its statement',
    );
    at.statement = statement;
    return { holderId: this.holderId, signature: this.#sign(statement) };
  }

  async certify(request: Parameters<HolderPort['certify']>[0]): Promise<StatementSignature> {
    await this.#arrive('certify');
    const at = this.#round(request.planHash, request.round);
    const leaves = request.deviceIds.map((id) => {
      const leaf = at.leaves.get(id);
      ensure(leaf, 'CERTIFICATE_INVALID', `${id} was not accepted`);
      return leaf;
    });
    ensure(equalBytes(merkleRoot(leaves), request.cohortRoot), 'CERTIFICATE_INVALID', 'another root');
    const { rounds } = this.#plan(request.planHash).plan;
    ensure(leaves.length >= rounds.cohortMin, 'COHORT_TOO_SMALL', 'fewer than the plan demands');
    return this.#signOnce(at, certificateStatement({ ...request, cohortCount: leaves.length }));
  }

  #plan(planHash: Uint8Array): ParsedPlan {
    const parsed = this.#plans.get(Buffer.from(planHash).toString('hex'));
    ensure(parsed, 'WRONG_PLAN', 'this plan was never registered');
    return parsed;
  }

  async abort(planHash: Uint8Array, round: number, reason: string): Promise<StatementSignature> {
    await this.#arrive('abort');
    return this.#signOnce(this.#round(planHash, round), abortStatement({ planHash, round, reason }));
  }

  async draw(request: OpenRequest, parts: Iterable<OpenPart>): Promise<Draw> {
    await this.#arrive('draw');
    const at = this.#round(request.planHash, request.round);
    const certificate = this.#requireCertificate(request);
    this.#signOnce(at, certificate);
    const values = this.#drawn(at, request, this.#certified(at, request, parts));
    if (this.lie === 'draw') values[40] = values[40]! ^ 1;
    const { holderId } = this;
    const statement = partitionDrawStatement({ certificate, holderId, values });
    if (this.lie === 'unsigned draw') values[40] = values[40]! ^ 1;
    return { holderId, values, signature: this.#sign(statement) };
  }

  #drawn(at: HolderRound, { configHash }: OpenRequest, devices: readonly string[]): Uint8Array {
    const draw = new PartitionDraw(this.#world.suite, configHash);
    for (const deviceId of devices) draw.add(deviceId, at.seeds.get(deviceId)!);
    return draw.values();
  }

  /** The groups by its own three values and the one that two others signed. */
  #groupsOf(at: HolderRound, request: OpenRequest, devices: readonly string[], count: number): string[][] {
    const { suite } = this.#world;
    const { plan } = this.#plan(request.planHash);
    const certificate = certificateStatement(request satisfies CohortCertificate);
    const answers = request.draws.map(({ holderId, values, signature }) => {
      const index = plan.holders.findIndex((holder) => holder.id === holderId);
      const key = fromHex(plan.holders[index]!.signingPublicKey);
      const statement = partitionDrawStatement({ certificate, holderId, values });
      ensure(suite.verify(key, statement, signature), 'BAD_SIGNATURE', `${holderId} did not sign its draw`);
      return { holderIndex: index + 1, values };
    });
    const missing = agreedDraws(answers)[this.#index - 1];
    ensure(missing, 'SHARE_INCONSISTENT', 'no two holders stand for the value that this one cannot know');
    const own = this.#drawn(at, request, devices);
    const values = [1, 2, 3, 4].map((k) => (k === this.#index ? missing : drawOf(this.#index, own, k)!));
    return partitionOf(suite, partitionSeed(suite, certificate, values), devices, count);
  }

  async open(request: OpenRequest, parts: Iterable<OpenPart>): Promise<PartialOpening> {
    await this.#arrive('open');
    const at = this.#round(request.planHash, request.round);
    ensure(!at.erased, 'KEY_ERASED', 'the share of this round is erased');
    const certificate = this.#requireCertificate(request);
    const known = at.partials.get(request.activeSet.join(','));
    if (known) return known;
    const partial = this.#isShares(request.planHash)
      ? this.#sumSeeds(at, request, parts)
      : this.#decrypt(request, this.#addCertified(request, parts));
    const statement = partialStatement({
      certificate,
      activeSet: request.activeSet,
      holderId: this.holderId,
      partialDigest: this.#world.suite.digest(partial),
    });
    const opening = { holderId: this.holderId, partial, signature: this.#sign(statement) };
    at.partials.set(request.activeSet.join(','), opening);
    return opening;
  }

  #requireCertificate(request: OpenRequest): Uint8Array {
    const certificate = certificateStatement(request satisfies CohortCertificate);
    const { plan } = this.#plan(request.planHash);
    const signers = new Set(
      request.signatures
        .filter(({ holderId, signature }) => {
          const key = plan.holders.find((holder) => holder.id === holderId)?.signingPublicKey;
          return key !== undefined && this.#world.suite.verify(fromHex(key), certificate, signature);
        })
        .map((s) => s.holderId),
    );
    ensure(signers.size >= quorumOf(plan), 'QUORUM_NOT_REACHED', 'no quorum signed this certificate');
    return certificate;
  }

  /** Re-hashes and adds every certified c1 itself, as a real holder does. */
  #addCertified(request: OpenRequest, parts: Iterable<OpenPart>): Uint8Array {
    const { suite, bfv } = this.#world;
    const sum = bfv.accumulator('c1', request.digitCount);
    const leaves: Uint8Array[] = [];
    for (const { deviceId, bodyDigest, holderPart, entry } of parts) {
      ensure(entry, 'MALFORMED_MESSAGE', 'bfv sends every entry');
      const checked = this.#check(entry);
      ensure(checked.deviceId === deviceId, 'CERTIFICATE_INVALID', 'an entry of another device');
      const digest = uploadDigestOfParts(suite, bodyDigest, suite.digest(holderPart));
      ensure(equalBytes(digest, entry.digest), 'DIGEST_MISMATCH', `c1 of ${deviceId} is not what was signed`);
      leaves.push(checked.leaf);
      sum.add(holderPart);
    }
    ensure(
      equalBytes(merkleRoot(leaves), request.cohortRoot),
      'CERTIFICATE_INVALID',
      'not the certified set',
    );
    return sum.bytes();
  }

  /** Transport shares: the certified devices, whose seeds it has then. */
  #certified(at: HolderRound, request: OpenRequest, parts: Iterable<OpenPart>): string[] {
    const leaves: Uint8Array[] = [];
    const devices: string[] = [];
    for (const { deviceId, entry } of parts) {
      if (entry && !at.leaves.has(deviceId)) {
        at.leaves.set(deviceId, this.#check(entry).leaf);
        ensure(!this.#takeSeeds(at, deviceId, entry), 'CERTIFICATE_INVALID', 'seeds do not open');
      }
      const leaf = at.leaves.get(deviceId);
      ensure(leaf, 'CERTIFICATE_INVALID', `${deviceId} was not accepted`);
      leaves.push(leaf);
      devices.push(deviceId);
    }
    const certified = equalBytes(merkleRoot(leaves), request.cohortRoot);
    ensure(certified, 'CERTIFICATE_INVALID', 'not the certified set');
    return devices;
  }

  /** Transport shares: the expansions of the seeds of exactly the certified devices, by group where there are groups. */
  #sumSeeds(at: HolderRound, request: OpenRequest, parts: Iterable<OpenPart>): Uint8Array {
    const { suite } = this.#world;
    const parsed = this.#plan(request.planHash);
    const kind = digitCountOf(parsed, 'training') === request.digitCount ? 'training' : 'evaluation';
    const { shortCount, wordBits, groups: count } = schemeOf(parsed, kind).scheme;
    const devices = this.#certified(at, request, parts);
    const groups = count > 1 ? this.#groupsOf(at, request, devices, count) : [devices];
    const sums = groups.map((members) => {
      const sum = new SeedSum(shortCount, wordBits, suite, request.configHash, count);
      for (const deviceId of members) sum.add(deviceId, at.seeds.get(deviceId)!);
      return sum.bytes();
    });
    if (this.lie === 'malformed') return new Uint8Array(7).fill(1);
    const partial = concat(...sums);
    // One word of the first vector is another one than those of the two other holders that know its seed.
    if (this.lie === 'wrong') partial[0] = partial[0]! ^ 1;
    return partial;
  }

  #decrypt(request: OpenRequest, c1Sum: Uint8Array): Uint8Array {
    if (this.lie === 'malformed') return new Uint8Array(7).fill(1);
    // The share of the other round's committee: a well-formed answer that opens nothing.
    const committee = this.#world.committee(this.lie === 'wrong' ? request.round + 1 : request.round);
    return this.#world.bfv.partialDecrypt({
      share: committee.shares[this.#index - 1]!.slice(),
      c1Sum,
      digitCount: request.digitCount,
      holderIndex: this.#index,
      activeSet: request.activeSet,
    });
  }

  async erase(planHash: Uint8Array, round: number): Promise<void> {
    await this.#arrive('erase');
    this.#round(planHash, round).erased = true;
  }
}

export const createHolders = (world: TestWorld): FakeHolder[] =>
  world.holderKeys.map((_, i) => new FakeHolder(world, i + 1));
