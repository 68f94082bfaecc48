/**
 * A log that can lie, for the witness's tests: histories that share a prefix, add-checkpoint requests for them.
 *
 * May be called by: auditor/witness/*.test.ts.
 */
import { utf8 } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { type NoteSigner, signCheckpoint } from '../../crypto/log/checkpoint.ts';
import { MerkleTree } from '../../crypto/log/merkle.ts';
import { encodeAddCheckpoint } from '../../crypto/log/witness-protocol.ts';

export const ORIGIN = 'log.example/lying';
const suite = getSuite('intl');

export function makeLogSigner(name = ORIGIN): NoteSigner {
  const pair = suite.generateSigningKey();
  return {
    name,
    algorithm: 'ed25519',
    publicKey: pair.publicKey,
    sign: (message) => suite.sign(pair.secretKey, message),
  };
}

/** One history: leaf n is `n`, from leaf `forkAt` on `n of <name>`. */
export class History {
  readonly tree = new MerkleTree();
  readonly signer: NoteSigner;
  constructor(signer: NoteSigner, size: number, name = '', forkAt = size) {
    this.signer = signer;
    for (let n = 0; n < size; n++) this.tree.append(utf8(n < forkAt ? `${n}` : `${n} of ${name}`));
  }

  checkpoint(size: number, signers: readonly NoteSigner[] = [this.signer]): string {
    return signCheckpoint({ origin: ORIGIN, size, root: this.tree.root(size) }, signers);
  }

  request(oldSize: number, size: number, checkpoint = this.checkpoint(size)): Uint8Array {
    const proof = oldSize <= size ? this.tree.consistencyProof(oldSize, size) : [];
    return utf8(encodeAddCheckpoint({ oldSize, proof, checkpoint }));
  }
}
