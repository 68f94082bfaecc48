/**
 * A log with certificates in it, and a witness in memory, for the tests of coordinator/witnessing.
 *
 * May be called by: coordinator/witnessing/*.test.ts.
 */
import { toHex } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import {
  type NoteSigner,
  parseCheckpointText,
  parseSignedNote,
  signatureLine,
} from '../../crypto/log/checkpoint.ts';
import type { Leaf } from '../../crypto/log/leaves.ts';
import { emptyRoot, verifyConsistency } from '../../crypto/log/merkle.ts';
import { cosignerAt, generateCosignerKey, noteVerifier } from '../../crypto/log/note-keys.ts';
import { acceptCosignatures } from '../../crypto/log/witness-protocol.ts';
import { AppendLog } from '../storage/append-log.ts';
import { openMemoryStore } from '../storage/sqlite-store.ts';
import { Cosignatures } from './cosignatures.ts';
import type { WitnessPeer, WitnessPort } from './witness-client.ts';

export const PLAN = 'a'.repeat(64);
const suite = getSuite('intl');

export function openLog() {
  const store = openMemoryStore();
  const log = new AppendLog(store, { origin: 'log.example/c' });
  const pair = suite.generateSigningKey();
  const signer: NoteSigner = {
    name: log.origin,
    algorithm: 'ed25519',
    publicKey: pair.publicKey,
    sign: (message) => suite.sign(pair.secretKey, message),
  };
  const append = (leaf: object): number =>
    store.transaction('test', (db) => log.append(db, { version: 1, timeMs: 1, ...leaf } as Leaf));
  const filler = (count: number): void => {
    for (let i = 0; i < count; i++)
      append({ kind: 'withdrawal', commitment: toHex(suite.digest(Uint8Array.of(i))) });
  };
  const certificate = (round: number): number =>
    append({
      kind: 'round_certificate',
      planHash: PLAN,
      round,
      modelHash: 'b'.repeat(64),
      configHash: 'c'.repeat(64),
      committeeKeyId: 'd'.repeat(64),
      cohortRoot: 'e'.repeat(64),
      cohortCount: 3,
      signatures: [{ holderId: 'holder-1', signature: 'f'.repeat(128) }],
    });
  return { store, log, signer, cosignatures: new Cosignatures(store), append, filler, certificate };
}

/** Answers as the protocol says; `away` makes it unreachable. */
export class MemoryWitness {
  readonly #key;
  readonly peer: WitnessPeer;
  size = 0;
  root: Uint8Array = emptyRoot();
  away = false;
  requests: number[] = [];

  constructor(name = 'w.example/1') {
    this.#key = generateCosignerKey(name, 'cosignature-ed25519');
    this.peer = { name, url: `http://${name}`, verifiers: [noteVerifier(this.#key)] };
  }

  readonly post: WitnessPort = async (peer, { oldSize, proof, checkpoint }) => {
    if (this.away) throw new PulsefoldError('UNAVAILABLE', 'witness: away');
    const { text } = parseSignedNote(checkpoint);
    const { size, root } = parseCheckpointText(text);
    this.requests.push(size);
    if (oldSize !== this.size) return { kind: 'conflict', size: this.size };
    if (!verifyConsistency({ oldSize, oldRoot: this.root, size, root, proof }))
      throw new PulsefoldError('LOG_INCONSISTENT', 'witness: fork');
    this.size = size;
    this.root = root;
    const line = signatureLine(cosignerAt(this.#key, 7), text);
    return { kind: 'cosigned', lines: acceptCosignatures(checkpoint, line, peer.verifiers) };
  };
}
