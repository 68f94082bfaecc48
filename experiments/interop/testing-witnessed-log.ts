/**
 * A coordinator's log with a witness of its own, for the tests of experiments/interop.
 *
 * May be called by: experiments/interop/*.test.ts.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWitnessKeys } from '../../auditor/witness/key-file.ts';
import { type RunningWitness, runWitness } from '../../auditor/witness/server.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import { openMemoryStore } from '../../coordinator/storage/sqlite-store.ts';
import { Cosignatures } from '../../coordinator/witnessing/cosignatures.ts';
import { LogProofs } from '../../coordinator/witnessing/log-proofs.ts';
import { Witnessing } from '../../coordinator/witnessing/witnessing.ts';
import { toHex, uint64 } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import {
  type CosignatureAlgorithm,
  encodeVerifierKey,
  type NoteSigner,
} from '../../crypto/log/checkpoint.ts';
import type { Leaf } from '../../crypto/log/leaves.ts';
import { noteVerifier, noteVerifierOf } from '../../crypto/log/note-keys.ts';

const silent = { info: () => {}, warn: () => {}, error: () => {} };
const PASSPHRASE = 'a long passphrase';

/** A configuration directory for a witness that watches logs with these keys. */
export async function witnessConfig(
  directory: string,
  algorithms: readonly CosignatureAlgorithm[],
  logKeys: readonly string[],
): Promise<string> {
  await createWitnessKeys(join(directory, 'witness.key'), { name: 'w.example/1', algorithms }, PASSPHRASE, {
    costLog2: 14,
    blockSize: 8,
    parallelism: 1,
  });
  writeFileSync(join(directory, 'secret.txt'), PASSPHRASE);
  const file = join(directory, 'witness.yaml');
  const logs = logKeys.map((line) => `  - keys: ['${line}']\n`).join('');
  writeFileSync(
    file,
    `directory: state\nlisten: 127.0.0.1:0\nlogLevel: silent\nkey: { file: witness.key, passphraseFile: secret.txt }\nlogs:\n${logs}`,
  );
  return file;
}

export async function openWitnessedLog(algorithms: readonly CosignatureAlgorithm[]) {
  const suite = getSuite('intl');
  const pair = suite.generateSigningKey();
  const store = openMemoryStore();
  const log = new AppendLog(store, { origin: 'log.example/interop' });
  const signer: NoteSigner = {
    name: log.origin,
    algorithm: 'ed25519',
    publicKey: pair.publicKey,
    sign: (message) => suite.sign(pair.secretKey, message),
  };
  const base = mkdtempSync(join(tmpdir(), 'pulsefold-interop-'));
  const directory = join(base, 'run');
  const witness: RunningWitness = await runWitness(
    await witnessConfig(base, algorithms, [encodeVerifierKey(signer)]),
  );
  const cosignatures = new Cosignatures(store);
  const peer = {
    name: 'w.example/1',
    url: `http://127.0.0.1:${witness.port}`,
    verifiers: witness.keyLines.map(noteVerifierOf),
  };
  const witnessing = new Witnessing({ log, signer, cosignatures, peers: [peer], logger: silent });
  const planHash = 'a'.repeat(64);
  const append = (leaf: object): number =>
    store.transaction('test', (db) => log.append(db, { version: 1, timeMs: 1, ...leaf } as Leaf));
  let filled = 0;
  return {
    log,
    signer,
    verifier: noteVerifier(signer),
    witness,
    witnessing,
    directory,
    base,
    planHash,
    proofs: new LogProofs({ store, log, signer, cosignatures }),
    filler(count: number): void {
      for (let i = 0; i < count; i++)
        append({ kind: 'withdrawal', commitment: toHex(suite.digest(uint64(filled++))) });
    },
    certificate: (round: number): number =>
      append({
        kind: 'round_certificate',
        planHash,
        round,
        modelHash: 'b'.repeat(64),
        configHash: 'c'.repeat(64),
        committeeKeyId: 'd'.repeat(64),
        cohortRoot: 'e'.repeat(64),
        cohortCount: 3,
        signatures: [{ holderId: 'holder-1', signature: 'f'.repeat(128) }],
      }),
    async close(): Promise<void> {
      await witnessing.stop();
      await witness.stop();
      store.close();
      rmSync(base, { recursive: true, force: true });
    },
  };
}
export type WitnessedLog = Awaited<ReturnType<typeof openWitnessedLog>>;
