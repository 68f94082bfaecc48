/**
 * Builds the receipt of one device for one round, with the proofs that let the device check it.
 *
 * Trusts: its store. May be called by: coordinator/grpc/rounds-service.ts.
 */
import { toHex } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { MerkleTree } from '../../crypto/log/merkle.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { encodeReceipt, type Receipt } from '../../protos/receipt.ts';
import { receiptStatement } from '../../protos/statements.ts';
import type { Database } from '../storage/store.ts';
import { cohortLeaves } from './device-rows.ts';
import { hexSignatures } from './holder-port.ts';
import { FINAL_PHASES } from './machine-types.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

interface CohortTree {
  readonly tree: MerkleTree;
  readonly root: string;
  readonly indexOf: ReadonlyMap<string, number>;
  readonly leafHashes: readonly string[];
}

/** What all receipts of a decided round have in common; none of it changes any more. */
type DecidedRound =
  | { readonly outcome: 'aborted'; readonly reason: string }
  | {
      readonly outcome: 'certified';
      readonly row: repository.RoundKey;
      readonly cohort: CohortTree;
      readonly charge: { order: string; amount: string } | null;
    };

/** Rounds that devices still ask about. */
const ROUNDS_KEPT = 8;

/** Whatever is the same for all devices is worked out once per round: a round state is megabytes of JSON. */
export class Receipts {
  readonly #services: RoundServices;
  readonly #decided = new Map<string, DecidedRound>();
  constructor(services: RoundServices) {
    this.#services = services;
  }

  /** Signed receipt, or null while the round is undecided. Throws NOT_FOUND when the device sent nothing. */
  build(
    parsed: ParsedPlan,
    round: number,
    deviceId: string,
  ): { receipt: Uint8Array; signature: Uint8Array } | null {
    const receipt = this.#services.store.read('receipt', (db) => {
      const phase = repository.roundPhase(db, parsed.hashHex, round);
      if (phase === undefined) throw new PulsefoldError('NOT_FOUND', `there is no round ${round}`);
      const decided = ['opening', 'opened', ...FINAL_PHASES].includes(phase);
      if (!decided) return null;
      const upload = repository.getUpload(db, parsed.hashHex, round, deviceId);
      const late = repository.lateOf(db, parsed.hashHex, round, deviceId);
      const digest = upload?.acknowledged ? upload.digest : late;
      const pseudonym = repository.invitationOf(db, parsed.hashHex, round, deviceId);
      if (!digest || !pseudonym)
        throw new PulsefoldError('NOT_FOUND', 'this device has no upload in this round');
      const base = { version: 1 as const, planHash: parsed.hashHex, round, deviceId, digest, pseudonym };
      const common = this.#common(parsed, round, phase, db);
      const signatures = (kind: repository.StatementKind) =>
        hexSignatures(repository.statementSignatures(db, parsed.hashHex, round, kind));
      if (common.outcome === 'aborted')
        return {
          ...base,
          outcome: 'aborted',
          abort: { reason: common.reason, signatures: signatures('abort') },
        } satisfies Receipt;
      const { row, cohort, charge } = common;
      const certificate = {
        modelHash: row.model_hash,
        configHash: row.config_hash,
        committeeKeyId: row.committee_key_id,
        cohortRoot: cohort.root,
        cohortCount: cohort.leafHashes.length,
        signatures: signatures('certificate'),
      };
      const index = cohort.indexOf.get(deviceId);
      if (index === undefined) {
        const reason = upload?.acknowledged
          ? repository.rejectionsOf(db, parsed.hashHex, round, deviceId).join(', ').slice(0, 500) ||
            'not accepted by a quorum'
          : 'it came after the cohort was frozen';
        const exclusion = { leafHashes: [...cohort.leafHashes] };
        return {
          ...base,
          outcome: upload?.acknowledged ? 'rejected' : 'late',
          certificate,
          exclusion,
          reason,
        } satisfies Receipt;
      }
      const inclusion = {
        index,
        size: cohort.leafHashes.length,
        proof: cohort.tree.inclusionProof(index).map(toHex),
      };
      return {
        ...base,
        outcome: 'certified',
        certificate,
        inclusion,
        ...(charge ? { charge } : {}),
        ...(charge ? { ledger: this.#services.budget.ledgerOf(db, parsed, pseudonym)! } : {}),
      } satisfies Receipt;
    });
    if (!receipt) return null;
    const bytes = encodeReceipt(receipt);
    return {
      receipt: bytes,
      signature: this.#services.suite.sign(this.#services.signingKey.secretKey, receiptStatement(bytes)),
    };
  }

  #common(parsed: ParsedPlan, round: number, phase: string, db: Database): DecidedRound {
    const key = `${parsed.hashHex}/${round}`;
    const known = this.#decided.get(key);
    if (known) return known;
    const row = repository.getRound(db, parsed.hashHex, round)!;
    const state = repository.loadRoundState(db, parsed.hashHex, row);
    const roundKey = { ...row, plan: parsed.hashHex };
    const made: DecidedRound =
      phase === 'aborted'
        ? { outcome: 'aborted', reason: state.abortReason ?? '' }
        : {
            outcome: 'certified',
            row: roundKey,
            cohort: cohortTree(db, roundKey, state.cohort ?? []),
            charge: this.#services.budget.chargeOfRound(parsed, state),
          };
    this.#decided.set(key, made);
    if (this.#decided.size > ROUNDS_KEPT) this.#decided.delete(this.#decided.keys().next().value!);
    return made;
  }
}

function cohortTree(db: Database, row: repository.RoundKey, cohort: readonly string[]): CohortTree {
  const tree = new MerkleTree();
  const indexOf = new Map<string, number>();
  const leafHashes: string[] = [];
  const { devices, hashes } = cohortLeaves(db, row, cohort);
  for (const [i, hash] of hashes.entries()) {
    indexOf.set(devices[i]!, tree.appendHash(hash));
    leafHashes.push(toHex(hash));
  }
  return { tree, root: toHex(tree.root()), indexOf, leafHashes };
}
