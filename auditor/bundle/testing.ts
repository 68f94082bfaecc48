/**
 * A device that took part in the fixture's run, and its receipts. Trusts: nothing. May be called by: tests.
 */
import { fromHex, toHex } from '../../crypto/bytes.ts';
import { canonicalBytes } from '../../crypto/log/canonical-json.ts';
import type { Leaf } from '../../crypto/log/leaves.ts';
import { inclusionProof, leafHash, MerkleTree } from '../../crypto/log/merkle.ts';
import { encodeTlogProof } from '../../crypto/log/tlog-proof.ts';
import { encodeReceipt, type Receipt } from '../../protos/receipt.ts';
import { entryLeaf, receiptStatement } from '../../protos/statements.ts';
import type { RunFixture } from '../testing.ts';
import type { OwnProof } from './own-proofs.ts';
import type { SignedReceipt } from './receipts-file.ts';

export const DEVICE = 'ab'.repeat(16);
export const PSEUDONYM = '1'.repeat(64);

/** Puts a device into the cohorts of rounds 1 and 3, whose certificates are signed again; gives its receipts. */
export function takePart(run: RunFixture): Receipt[] {
  return [1, 3].map((round) => {
    const certificate = run.leaf('round_certificate', round);
    const { modelHash, configHash, committeeKeyId } = certificate;
    const digest = run.hash('digest', round);
    const file = run.roundFiles.get(round)!;
    const own = leafHash(
      entryLeaf({
        planHash: run.parsed.hash,
        round,
        modelHash: fromHex(modelHash),
        configHash: fromHex(configHash),
        committeeKeyId: fromHex(committeeKeyId),
        deviceId: DEVICE,
        digest: fromHex(digest),
      }),
    );
    const hashes = file.cohortLeafHashes!.with(2, toHex(own));
    const tree = MerkleTree.fromLeafHashes(hashes.map(fromHex));
    const cohortRoot = toHex(tree.root());
    const { signatures, hash } = run.certify({ ...certificate, cohortRoot });
    run.roundFiles.set(round, { ...file, cohortLeafHashes: hashes });
    const settlement = run.leaf('settlement', round);
    run.edit(certificate, { cohortRoot, signatures });
    run.edit(run.leaf('opened_sum', round), { certificateHash: hash });
    run.edit(run.leaf('mechanism', round), { certificateHash: hash });
    for (const nth of [0, 1]) run.edit(run.leaf('settlement', round, nth), { statementHash: hash });
    return {
      version: 1,
      planHash: run.parsed.hashHex,
      round,
      deviceId: DEVICE,
      digest,
      outcome: 'certified',
      certificate: { modelHash, configHash, committeeKeyId, cohortRoot, cohortCount: 4, signatures },
      inclusion: { index: 2, size: 4, proof: tree.inclusionProof(2).map(toHex) },
      pseudonym: PSEUDONYM,
      charge: { order: settlement.order, amount: settlement.charge },
    };
  });
}

/** As its coordinator hands it out. */
export const signed = (run: RunFixture, receipt: Receipt): SignedReceipt => {
  const bytes = encodeReceipt(receipt);
  return { receipt: bytes, signature: run.suite.sign(run.coordinator.secretKey, receiptStatement(bytes)) };
};

/** A proof of `leaf` as the log of `run` stood at `size`. */
export function proofOf(
  run: RunFixture,
  leaf: Leaf,
  what: OwnProof['what'],
  round: number,
  size = run.leaves.length,
): OwnProof {
  const leaves = run.leaves.slice(0, size).map((one) => canonicalBytes(one));
  const index = run.leaves.indexOf(leaf);
  const proof = encodeTlogProof({
    extra: leaves[index]!,
    index,
    inclusion: inclusionProof(leaves, index),
    checkpoint: run.checkpoint(size),
  });
  const planHash = 'planHash' in leaf ? leaf.planHash : run.parsed.hashHex;
  return { what, planHash, round, proof };
}
