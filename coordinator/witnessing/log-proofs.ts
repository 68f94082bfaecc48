/**
 * The log's part of a receipt: a `.tlog-proof` that the round's certificate (or abort) is in the log, and a
 * consistency proof from the checkpoint that the device saw last.
 *
 * Trusts: the log. May be called by: coordinator/grpc/rounds-service.ts.
 */
import { type NoteSigner, parseCheckpointText, parseSignedNote } from '../../crypto/log/checkpoint.ts';
import { parseLeaf } from '../../crypto/log/leaves.ts';
import { tlogProofBytes } from '../../crypto/log/tlog-proof.ts';
import type { AppendLog } from '../storage/append-log.ts';
import type { Store } from '../storage/store.ts';
import type { Cosignatures, StoredCheckpoint } from './cosignatures.ts';

export interface LogProof {
  /** Text of a .tlog-proof whose extra data are the leaf. */
  readonly tlogProof: Uint8Array;
  /** From `sizeSeen` to the checkpoint of the proof; empty where there is nothing to prove. */
  readonly logConsistency: readonly Uint8Array[];
}

export interface LogProofParts {
  readonly store: Store;
  readonly log: AppendLog;
  readonly signer: NoteSigner;
  readonly cosignatures: Cosignatures;
}

/** Devices of a round ask for the same few proofs. */
const KEPT_MAX = 256;
const PAGE_ROWS = 500;
/** Leaves of 800 pseudonyms for the largest cohort, and some. */
const SETTLEMENT_PARTS_MAX = 64;

export class LogProofs {
  readonly #parts: LogProofParts;
  readonly #numbers = new Map<string, number>();
  readonly #proofs = new Map<string, LogProof>();
  #version = -1;

  constructor(parts: LogProofParts) {
    this.#parts = parts;
  }

  /** Undefined while the log says nothing of this round. `sizeSeen` is the device's word: it chooses, no more. */
  prove(planHash: string, round: number, sizeSeen: number): LogProof | undefined {
    const number = this.#numberOf(planHash, round);
    return number === undefined ? undefined : this.proveLeaf(number, sizeSeen);
  }

  /**
   * The settlement that charged a pseudonym in a round. Leaves of one settlement follow its certificate in one write:
   * the mechanism, then the charged in ascending parts.
   */
  proveSettlement(planHash: string, round: number, pseudonym: string): LogProof | undefined {
    const certificate = this.#numberOf(planHash, round);
    if (certificate === undefined) return undefined;
    const { log } = this.#parts;
    const first = certificate + 2;
    let [low, high] = [first, Math.min(first + SETTLEMENT_PARTS_MAX, log.size())];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const leaf = log.leaf(middle);
      const own = leaf.kind === 'settlement' && leaf.planHash === planHash && leaf.round === round;
      if (own && leaf.outcome === 'charged' && (leaf.pseudonyms.at(-1) ?? '') < pseudonym) low = middle + 1;
      else if (own && leaf.outcome === 'charged' && leaf.pseudonyms.includes(pseudonym))
        return this.proveLeaf(middle);
      else high = middle;
    }
    return undefined;
  }

  /** Leaf number `number`, which the caller knows to be there. */
  proveLeaf(number: number, sizeSeen = 0): LogProof {
    const { cosignatures } = this.#parts;
    if (this.#version !== cosignatures.version) this.#proofs.clear();
    this.#version = cosignatures.version;
    const key = `${number} ${sizeSeen}`;
    const known = this.#proofs.get(key);
    if (known) return known;
    const made = this.#make(number, sizeSeen);
    if (this.#proofs.size >= KEPT_MAX) this.#proofs.delete(this.#proofs.keys().next().value!);
    this.#proofs.set(key, made);
    return made;
  }

  #make(number: number, sizeSeen: number): LogProof {
    const { log } = this.#parts;
    const { size, note } = this.#checkpoint(Math.max(number + 1, sizeSeen));
    const extra = log.leafBytes(number);
    const inclusion = log.inclusionProof(number, size);
    return {
      tlogProof: tlogProofBytes({ extra, index: number, inclusion, checkpoint: note }),
      logConsistency: sizeSeen <= size ? log.consistencyProof(sizeSeen, size) : [],
    };
  }

  #checkpoint(sizeMin: number): StoredCheckpoint {
    const { log, signer, cosignatures } = this.#parts;
    const best = cosignatures.best(sizeMin);
    if (best) return best;
    // Nothing signed covers it yet: this is the first device of the round that asks.
    const note = log.checkpoint([signer]);
    return { size: parseCheckpointText(parseSignedNote(note).text).size, note };
  }

  /** Number of the leaf that decided a round; rounds that people ask about are near the end of the log. */
  #numberOf(planHash: string, round: number): number | undefined {
    const key = `${planHash} ${round}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    for (let end = this.#parts.log.size(); end > 0; end -= PAGE_ROWS) {
      const found = this.#searchPage(planHash, round, Math.max(0, end - PAGE_ROWS), end);
      if (found === undefined) continue;
      if (this.#numbers.size >= KEPT_MAX) this.#numbers.delete(this.#numbers.keys().next().value!);
      this.#numbers.set(key, found);
      return found;
    }
    return undefined;
  }

  #searchPage(planHash: string, round: number, start: number, end: number): number | undefined {
    const rows = this.#parts.store.read('log.search', (db) =>
      db.all<{ number: number; data: Uint8Array }>(
        `SELECT number, data FROM log_leaves WHERE number >= ? AND number < ? AND instr(data, ?) > 0
           AND (instr(data, CAST('"kind":"round_certificate"' AS BLOB)) > 0
             OR instr(data, CAST('"kind":"abort"' AS BLOB)) > 0) ORDER BY number DESC`,
        start,
        end,
        Buffer.from(planHash),
      ),
    );
    return rows.find(({ data }) => {
      const leaf = parseLeaf(data);
      return (
        (leaf.kind === 'round_certificate' || leaf.kind === 'abort') &&
        leaf.planHash === planHash &&
        leaf.round === round
      );
    })?.number;
  }
}
