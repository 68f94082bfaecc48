/**
 * The rules that make a holder's signature and its partial decryption worth something. Each is one small
 * function and stands for one attack; the handlers hold the plumbing, never a rule of their own.
 *
 * For: the handlers of this directory. Trusts: nothing beyond its arguments. The service is always built with
 * `holderRules`; only tests in keyholder/ build one with a rule taken out, to see the attack succeed first, and
 * simulations without a seal (experiments/simulation), where entries bring no seeds.
 * Neither config nor package exports reach that (tested).
 */
import { equalBytes, fromHex } from '../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { type Identity, verifyCertificate } from '../crypto/identity/certificate.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import { agreedDraws, type DrawAnswer, drawOf, type SharesOpener } from '../crypto/secagg/shares/index.ts';
import type { DrawReply, Entry } from '../protos/keyholder-messages.ts';
import { openersOf, type ParsedPlan, type Plan, quorumOf, requireApproved } from '../protos/plan.ts';
import { lastEndedBefore } from '../protos/plan-overlap.ts';
import {
  type CohortCertificate,
  certificateStatement,
  partitionDrawStatement,
  type RoundBinding,
} from '../protos/statements.ts';
import { repeatsItself } from './round-seeds.ts';
import type { AcceptedEntry, RoundRef, StoredPartial, StoredStatement } from './store.ts';
import { sumOf } from './sums.ts';

export interface HolderSignature {
  readonly holderId: string;
  readonly signature: Uint8Array;
}

/**
 * The device's certificate comes from the pinned registrar, is in date, and is a device of this plan's suite.
 */
function deviceIdentity(
  parsed: ParsedPlan,
  der: Uint8Array,
  registrarCaDer: Uint8Array,
  nowMs: number,
): Identity {
  const identity = verifyCertificate(der, registrarCaDer, nowMs);
  ensure(
    identity.role === 'client',
    'WRONG_ROLE',
    `a ${identity.role} certificate cannot take part as a device`,
  );
  ensure(
    identity.suite === parsed.plan.suite,
    'CERTIFICATE_UNTRUSTED',
    `the plan needs suite ${parsed.plan.suite}`,
  );
  return identity;
}

/** The signed entry is for this plan and this round: nothing is replayed from another. */
function entryBelongs(entry: RoundRef, at: RoundRef): void {
  ensure(equalBytes(entry.planHash, at.planHash), 'WRONG_PLAN', 'the entry was signed for another plan');
  ensure(entry.round === at.round, 'WRONG_ROUND', `the entry was signed for round ${entry.round}`);
}

/** The update was sealed under the key that this holder made with the others and signed. */
function ownCommitteeKey(claimed: Uint8Array, own: Uint8Array): void {
  ensure(
    equalBytes(claimed, own),
    'WRONG_COMMITTEE_KEY',
    'not the committee key that this holder made for the round',
  );
}

/** K_min and the cap come from the approved plan; a request has no say in them. */
function cohortSize(plan: Plan, count: number): void {
  const { cohortMin, cohortMax } = plan.rounds;
  ensure(
    count >= cohortMin,
    'COHORT_TOO_SMALL',
    `a cohort of ${count} is below the plan's minimum of ${cohortMin}`,
  );
  ensure(
    count <= cohortMax,
    'CERTIFICATE_INVALID',
    `a cohort of ${count} is above the plan's maximum of ${cohortMax}`,
  );
}

/** One model, one configuration, one committee key over the whole cohort. */
function oneBinding(entries: readonly AcceptedEntry[], wanted: RoundBinding): void {
  for (const entry of entries) {
    const same =
      equalBytes(entry.modelHash, wanted.modelHash) &&
      equalBytes(entry.configHash, wanted.configHash) &&
      equalBytes(entry.committeeKeyId, wanted.committeeKeyId);
    ensure(
      same,
      'CERTIFICATE_INVALID',
      `device ${entry.deviceId} signed another model, configuration or key`,
    );
  }
}

/** One statement per round, whatever it says; asking again for the same one is fine. */
function oneStatement(stored: StoredStatement | undefined, wanted: Uint8Array): void {
  if (!stored) return;
  const same = equalBytes(stored.statement, wanted);
  ensure(same, 'STATEMENT_CONFLICT', `this holder already signed another ${stored.kind} for the round`);
}

/** The root that the holder computed from entries it checked itself. */
function cohortRoot(computed: Uint8Array, claimed: Uint8Array): void {
  ensure(
    equalBytes(computed, claimed),
    'CERTIFICATE_INVALID',
    'the cohort root is not that of the accepted entries',
  );
}

/** Signatures of a quorum of distinct holders named in the plan, over exactly this certificate. */
function quorum(plan: Plan, certificate: CohortCertificate, signatures: readonly HolderSignature[]): void {
  const needed = quorumOf(plan);
  const valid = countSignatures(plan, certificateStatement(certificate), signatures);
  ensure(
    valid >= needed,
    'QUORUM_NOT_REACHED',
    `${valid} of ${needed} required holder signatures on the certificate`,
  );
}

/** Distinct plan holders with a valid signature over `statement`. */
export function countSignatures(
  plan: Plan,
  statement: Uint8Array,
  signatures: readonly HolderSignature[],
): number {
  const suite = getSuite(plan.suite);
  const valid = new Set<string>();
  for (const { holderId, signature } of signatures) {
    const holder = plan.holders.find((candidate) => candidate.id === holderId);
    if (!holder || valid.has(holderId)) continue;
    if (suite.verify(fromHex(holder.signingPublicKey), statement, signature)) valid.add(holderId);
  }
  return valid.size;
}

/** Exactly as many distinct holders of the plan as open a sum, this one among them, in ascending order. */
function activeSet(plan: Plan, indices: readonly number[], ownIndex: number): void {
  const needed = openersOf(plan);
  const ascending = indices.every((index, i) => i === 0 || index > indices[i - 1]!);
  const known = indices.every((index) => index >= 1 && index <= plan.holders.length);
  const fits = indices.length === needed && ascending && known;
  ensure(fits, 'FIELD_OUT_OF_RANGE', `the active set names exactly ${needed} holders in ascending order`);
  ensure(indices.includes(ownIndex), 'FIELD_OUT_OF_RANGE', 'the active set does not include this holder');
}

/** The bytes that arrived are the bytes that the device signed. */
function uploadDigest(signed: Uint8Array, computed: Uint8Array, deviceId: string): void {
  ensure(
    equalBytes(signed, computed),
    'DIGEST_MISMATCH',
    `the ciphertext of device ${deviceId} is not the signed one`,
  );
}

/**
 * One answer per (certificate, active set): a second partial decryption would let the flooding be averaged away, and the
 * seed sums of a second cohort would show the difference of the two.
 */
function onePartial(stored: StoredPartial, certificate: Uint8Array, digits: number): void {
  const same = equalBytes(stored.certificate, certificate) && stored.digitCount === digits;
  ensure(same, 'STATEMENT_CONFLICT', 'this active set was already answered for another sum');
}

/** Only lengths that the plan implies. */
function digitCount(parsed: ParsedPlan, count: number): void {
  sumOf(parsed, count);
}

/** Under transport shares an entry brings the seeds that were sealed to this holder. */
function carriesSeeds({ aggregation }: Plan): boolean {
  return aggregation.transport === 'shares';
}

/** Sealed seeds come with the entry under transport shares, and nothing does under bfv. */
function entryParts(plan: Plan, { bodyDigest, holderPart }: Pick<Entry, 'bodyDigest' | 'holderPart'>): void {
  const { transport } = plan.aggregation;
  const fits =
    transport === 'shares'
      ? bodyDigest.length === 32 && holderPart.length > 0
      : bodyDigest.length === 0 && holderPart.length === 0;
  const wanted = transport === 'shares' ? 'the digest of its body and its holder part' : 'neither';
  ensure(fits, 'MALFORMED_MESSAGE', `under transport ${transport} an entry carries ${wanted}`);
}

/**
 * This holder's seeds, each with the hash that the device signed. A device that dealt others to other holders would
 * make the round's sum fail for everybody, and an honest holder look like a liar.
 */
function openedSeeds(opener: SharesOpener, deviceId: string, holderPart: Uint8Array): Uint8Array {
  return opener.open(deviceId, holderPart).seeds;
}

/**
 * Seeds are fresh: none stands twice in an upload, and none is another device's in this round. Whoever dealt a seed knows
 * what it masks.
 */
function freshSeeds(
  tags: readonly Uint8Array[],
  deviceId: string,
  ownerOf: (tag: Uint8Array) => string | undefined,
): void {
  ensure(!repeatsItself(tags), 'SHARE_INCONSISTENT', 'two seeds of this upload are the same');
  const fresh = tags.every((tag) => (ownerOf(tag) ?? deviceId) === deviceId);
  ensure(fresh, 'SECOND_DIGEST', 'another device used one of these seeds in this round');
}

/** An opening names the devices of the certified cohort once each. */
function ascending(previous: string | undefined, deviceId: string): void {
  const after = previous === undefined || deviceId > previous;
  ensure(after, 'CERTIFICATE_INVALID', 'the devices of an opening must be distinct and in ascending order');
}

/** A partition is drawn in rounds that open in groups, and in no other. */
function groupedRound(groups: number): void {
  ensure(groups > 1, 'WRONG_ROUND', 'this round opens as one sum: there is no partition to draw');
}

/**
 * P_1 to P_4 of a partition. This holder's own three are what it computed itself; the one that it cannot know is what two
 * other holders of the plan signed over this certificate. One corrupt holder could otherwise name a value that puts a
 * chosen device alone among Sybils, and so could a coordinator.
 */
function partitionDraws(
  plan: Plan,
  certificate: Uint8Array,
  own: DrawAnswer,
  draws: readonly DrawReply[],
): Uint8Array[] {
  const suite = getSuite(plan.suite);
  const answers = draws.flatMap(({ holderId, values, signature }) => {
    const holderIndex = plan.holders.findIndex((holder) => holder.id === holderId) + 1;
    if (holderIndex === 0 || holderIndex === own.holderIndex) return [];
    const statement = partitionDrawStatement({ certificate, holderId, values });
    const key = fromHex(plan.holders[holderIndex - 1]!.signingPublicKey);
    return suite.verify(key, statement, signature) ? [{ holderIndex, values }] : [];
  });
  const missing = agreedDraws(answers)[own.holderIndex - 1];
  ensure(
    missing,
    'SHARE_INCONSISTENT',
    `no two other holders signed the same partition value ${own.holderIndex} over this certificate: ask Draw of more of them`,
  );
  return plan.holders.map((_, i) => drawOf(own.holderIndex, own.values, i + 1) ?? missing);
}

/** A ceremony part is signed by the holder whose key stands in the plan. */
function partSignature(plan: Plan, holderId: string, statement: Uint8Array, signature: Uint8Array): void {
  const holder = plan.holders.find((candidate) => candidate.id === holderId);
  const valid = holder && getSuite(plan.suite).verify(fromHex(holder.signingPublicKey), statement, signature);
  ensure(valid, 'BAD_SIGNATURE', `the ceremony part of holder ${holderId} is not signed by it`);
}

/**
 * One ceremony step is answered once; other inputs for the same step would let a relay play holders apart.
 */
function oneStep(storedInput: Uint8Array | undefined, input: Uint8Array, phase: string): void {
  const same = storedInput === undefined || equalBytes(storedInput, input);
  ensure(same, 'STATEMENT_CONFLICT', `phase ${phase} of this ceremony was already answered for other inputs`);
}

/** The committee key of a round goes when the round is over. */
function notErased(erased: boolean): void {
  if (erased) throw new PulsefoldError('KEY_ERASED', 'the key of this round was erased: start another round');
}

/** The last round whose key has no use left once `certified` is. */
function leftBehind(plan: Plan, certified: number): number {
  return lastEndedBefore(plan, certified);
}

/** A sealed share is the one that its dealer announced under signature. */
function announcedShare(announced: Uint8Array, computed: Uint8Array, dealerId: string): void {
  const same = equalBytes(announced, computed);
  ensure(same, 'CEREMONY_FAILED', `the relayed share of holder ${dealerId} is not the one that it announced`);
}

export const holderRules = Object.freeze({
  planApproved: requireApproved,
  deviceIdentity,
  entryBelongs,
  ownCommitteeKey,
  cohortSize,
  oneBinding,
  oneStatement,
  cohortRoot,
  quorum,
  activeSet,
  uploadDigest,
  onePartial,
  digitCount,
  partSignature,
  oneStep,
  notErased,
  leftBehind,
  announcedShare,
  carriesSeeds,
  entryParts,
  openedSeeds,
  freshSeeds,
  ascending,
  groupedRound,
  partitionDraws,
});
export type HolderRules = typeof holderRules;
