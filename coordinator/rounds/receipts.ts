/**
 * Builds the receipt of one device for one round, with the proofs that let the device check it.
 *
 * Trusts: its store. May be called by: coordinator/grpc/rounds-service.ts.
 */
import { toHex } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { leafHash, MerkleTree } from '../../crypto/log/merkle.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { encodeReceipt, type Receipt } from '../../protos/receipt.ts';
import { entryLeaf, receiptStatement } from '../../protos/statements.ts';
import { hexSignatures } from './holder-port.ts';
import { FINAL_PHASES } from './machine-types.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

interface CohortTree {
  readonly tree: MerkleTree;
  readonly indexOf: ReadonlyMap<string, number>;
  readonly leafHashes: readonly string[];
}

/** Cohort trees are built once per round and kept for the few rounds that devices still ask about. */
export class Receipts {
  readonly #services: RoundServices;
  readonly #trees = new Map<string, CohortTree>();
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
      const row = repository.getRound(db, parsed.hashHex, round);
      if (!row) throw new PulsefoldError('NOT_FOUND', `there is no round ${round}`);
      const decided = ['opening', 'opened', ...FINAL_PHASES].includes(row.phase);
      if (!decided) return null;
      const upload = repository.getUpload(db, parsed.hashHex, round, deviceId);
      const late = repository.lateOf(db, parsed.hashHex, round, deviceId);
      const digest = upload?.acknowledged ? upload.digest : late;
      const pseudonym = repository.invitationOf(db, parsed.hashHex, round, deviceId);
      if (!digest || !pseudonym)
        throw new PulsefoldError('NOT_FOUND', 'this device has no upload in this round');
      const base = { version: 1 as const, planHash: parsed.hashHex, round, deviceId, digest, pseudonym };
      if (row.phase === 'aborted') {
        const signatures = hexSignatures(repository.statementSignatures(db, parsed.hashHex, round, 'abort'));
        const reason = repository.loadRoundState(db, parsed.hashHex, row).abortReason ?? '';
        return { ...base, outcome: 'aborted', abort: { reason, signatures } } satisfies Receipt;
      }
      const cohort = this.#cohort(parsed, row, db);
      const certificate = {
        modelHash: row.model_hash,
        configHash: row.config_hash,
        committeeKeyId: row.committee_key_id,
        cohortRoot: toHex(cohort.tree.root()),
        cohortCount: cohort.leafHashes.length,
        signatures: hexSignatures(repository.statementSignatures(db, parsed.hashHex, round, 'certificate')),
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
      const charge = this.#services.budget.chargeOfRound(db, parsed, row);
      return {
        ...base,
        outcome: 'certified',
        certificate,
        inclusion,
        ...(charge ? { charge } : {}),
      } satisfies Receipt;
    });
    if (!receipt) return null;
    const bytes = encodeReceipt(receipt);
    return {
      receipt: bytes,
      signature: this.#services.suite.sign(this.#services.signingKey.secretKey, receiptStatement(bytes)),
    };
  }

  #cohort(
    parsed: ParsedPlan,
    row: repository.RoundRow,
    db: Parameters<typeof repository.getRound>[0],
  ): CohortTree {
    const key = `${parsed.hashHex}/${row.round}`;
    const known = this.#trees.get(key);
    if (known) return known;
    const cohort = repository.loadRoundState(db, parsed.hashHex, row).cohort ?? [];
    const tree = new MerkleTree();
    const indexOf = new Map<string, number>();
    const leafHashes: string[] = [];
    for (const entry of repository.entriesOf(db, parsed.hashHex, row, new Set(cohort))) {
      const hash = leafHash(entryLeaf(entry));
      indexOf.set(entry.deviceId, tree.appendHash(hash));
      leafHashes.push(toHex(hash));
    }
    const built = { tree, indexOf, leafHashes };
    this.#trees.set(key, built);
    if (this.#trees.size > 8) this.#trees.delete(this.#trees.keys().next().value!);
    return built;
  }
}
