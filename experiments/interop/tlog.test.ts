/**
 * The log across roles: a coordinator's log, a witness process, an auditor, a device; over real HTTP, without Go.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { encodeVerifierKey } from '../../crypto/log/checkpoint.ts';
import { leafHash } from '../../crypto/log/merkle.ts';
import { TiledTree, tilePath } from '../../crypto/log/tiles.ts';
import { openCheckpointUnder, parseTlogPolicy } from '../../crypto/log/tlog-policy.ts';
import { parseTlogProof, verifyTlogProof } from '../../crypto/log/tlog-proof.ts';
import { openWitnessedLog, type WitnessedLog } from './testing-witnessed-log.ts';

let open: WitnessedLog | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

it('export, cosign, read the tiles back, prove a receipt to a device with a witness policy', async () => {
  open = await openWitnessedLog(['cosignature-ed25519', 'cosignature-ml-dsa-44']);
  const { log, signer, witnessing, witness, proofs, directory, filler, certificate, planHash } = open;
  filler(600);
  certificate(1);
  filler(9);
  const note = log.export(directory, [signer], (plain) => witnessing.withCosignatures(plain));
  witnessing.exported(join(directory, 'log'), note);
  await witnessing.idle();

  // Every key of the witness stands in the file that lies on the disk.
  const quorum = witnessing
    .policyText()
    .replace('quorum none', 'group both all w.example/1#1 w.example/1#2\nquorum both');
  const policy = parseTlogPolicy(quorum);
  const checkpoint = readFileSync(join(directory, 'log', 'checkpoint'), 'utf8');
  const opened = openCheckpointUnder(checkpoint, policy);
  expect(opened.cosigners.map(({ verifier }) => encodeVerifierKey(verifier))).toEqual(witness.keyLines);

  // Whoever has tiles and checkpoint has the log.
  const tree = TiledTree.open(
    opened.checkpoint,
    (tile) => new Uint8Array(readFileSync(join(directory, 'log', tilePath(tile)))),
  );
  expect(tree.inclusionProof(600)).toEqual(log.inclusionProof(600));
  expect(existsSync(join(directory, 'log', 'tile/entries/002.p/98'))).toBe(true);

  const proof = proofs.prove(planHash, 1, 0)!;
  const { extra } = parseTlogProof(proof.tlogProof);
  expect(verifyTlogProof(proof.tlogProof, { leafHash: leafHash(extra!), policy })).toMatchObject({
    index: 600,
  });

  // The log grows; full tiles replace partial ones, and the witness follows.
  filler(300);
  const later = log.export(directory, [signer]);
  witnessing.exported(join(directory, 'log'), later);
  await witnessing.idle();
  expect(
    openCheckpointUnder(readFileSync(join(directory, 'log', 'checkpoint'), 'utf8'), policy).checkpoint.size,
  ).toBe(910);
  expect(existsSync(join(directory, 'log', 'tile/entries/002.p'))).toBe(false);
});
