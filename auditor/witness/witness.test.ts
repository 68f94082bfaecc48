import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { utf8 } from '../../crypto/bytes.ts';
import { encodeVerifierKey, openCheckpoint, signCheckpoint } from '../../crypto/log/checkpoint.ts';
import { emptyRoot } from '../../crypto/log/merkle.ts';
import { cosignerAt, generateCosignerKey, noteVerifier, noteVerifierOf } from '../../crypto/log/note-keys.ts';
import { acceptCosignatures, encodeAddCheckpoint } from '../../crypto/log/witness-protocol.ts';
import { loadWitnessConfig } from './config.ts';
import { createWitnessKeys, loadWitnessKeys } from './key-file.ts';
import { runWitness } from './server.ts';
import { WitnessState } from './state.ts';
import { History, makeLogSigner, ORIGIN } from './testing.ts';
import { Witness } from './witness.ts';

const coded = (code: string) => expect.objectContaining({ code });
const signer = makeLogSigner();
const truth = new History(signer, 300);
const fork = new History(signer, 300, 'fork', 150);
const keys = [
  generateCosignerKey('w.example/1', 'cosignature-ed25519'),
  generateCosignerKey('w.example/1', 'cosignature-ml-dsa-44'),
];
const verifiers = keys.map(noteVerifier);
const misbehaviour: number[] = [];

function makeWitness(nowMs = () => 1_790_000_000_500, state = new WitnessState(':memory:')): Witness {
  misbehaviour.length = 0;
  return new Witness({
    keys,
    logs: [{ origin: ORIGIN, verifiers: [noteVerifierOf(encodeVerifierKey(signer))] }],
    state,
    nowMs,
    onMisbehaviour: (_origin, size) => misbehaviour.push(size),
  });
}

describe('add-checkpoint', () => {
  it('cosigns growth with every key, and remembers it for monitors', () => {
    const witness = makeWitness();
    let old = 0;
    for (const size of [0, 1, 2, 7, 8, 255, 256, 300]) {
      const { status, body } = witness.addCheckpoint(truth.request(old, size));
      expect([size, status, body.split('\n').length]).toEqual([size, 200, 3]);
      expect(acceptCosignatures(truth.checkpoint(size), body, verifiers)).toHaveLength(2);
      old = size;
    }
    const note = witness.latest(createHash('sha256').update(ORIGIN).digest('hex'))!;
    expect(openCheckpoint(note, [...verifiers, noteVerifier(signer)])).toMatchObject({
      size: 300,
      signedBy: { length: 3 },
    });
    expect(witness.latest('0'.repeat(64))).toBeUndefined();
  });

  it('the same checkpoint again is cosigned again', () => {
    const witness = makeWitness();
    expect(witness.addCheckpoint(truth.request(0, 9)).status).toBe(200);
    expect(witness.addCheckpoint(truth.request(9, 9)).status).toBe(200);
  });

  it('refuses a fork, a rollback and a rewritten tree; the true log goes on', () => {
    const witness = makeWitness();
    witness.addCheckpoint(truth.request(0, 200));
    expect(witness.addCheckpoint(fork.request(200, 300)).status).toBe(422);
    expect(witness.addCheckpoint(fork.request(200, 200)).status).toBe(422);
    expect(witness.addCheckpoint(truth.request(100, 150))).toMatchObject({
      status: 409,
      body: '200\n',
      type: 'text/x.tlog.size',
    });
    expect(witness.addCheckpoint(truth.request(0, 300))).toMatchObject({ status: 409, body: '200\n' });
    expect(witness.addCheckpoint(truth.request(200, 100)).status).toBe(400);
    expect(witness.addCheckpoint(truth.request(200, 300)).status).toBe(200);
    // Signed twice at one size: the witness keeps both notes as proof.
    witness.keepEvidence();
    expect(misbehaviour).toEqual([200]);
  });

  it('what is malformed, of an unknown log or of an unknown key', () => {
    const witness = makeWitness();
    const request = (checkpoint: string) => utf8(encodeAddCheckpoint({ oldSize: 0, proof: [], checkpoint }));
    const status = (checkpoint: string) => witness.addCheckpoint(request(checkpoint)).status;
    const good = truth.checkpoint(5);
    expect(witness.addCheckpoint(utf8('old 0\n')).status).toBe(400);
    expect(witness.addCheckpoint(new Uint8Array(0)).status).toBe(400);
    expect(witness.addCheckpoint(new Uint8Array(100_000)).status).toBe(400);
    expect(status('not a checkpoint\n\n— x AAAAAAA=\n')).toBe(400);
    expect(
      status(signCheckpoint({ origin: 'other.example/log', size: 5, root: truth.tree.root(5) }, [signer])),
    ).toBe(404);
    expect(status(truth.checkpoint(5, [makeLogSigner()]))).toBe(403);
    expect(status(good.replace('\n5\n', '\n6\n'))).toBe(403);
    // Its own cosignature is no log signature; a good line beside a bad one of the same key is a bad note.
    expect(status(truth.checkpoint(5, [cosignerAt(keys[0]!, 5)]))).toBe(403);
    const bad = good.slice(good.indexOf('—')).replace(/.{3}=\n$/, 'AAA=\n');
    expect(status(good + bad)).toBe(403);
    expect(status(truth.checkpoint(5, [signer, makeLogSigner('w.example/9')]))).toBe(200);
  });

  it('the empty tree has the empty root, and size 0 takes no proof', () => {
    const witness = makeWitness();
    const empty = (root: Uint8Array) => signCheckpoint({ origin: ORIGIN, size: 0, root }, [signer]);
    const body = (proof: Uint8Array[], checkpoint: string) =>
      utf8(encodeAddCheckpoint({ oldSize: 0, proof, checkpoint }));
    expect(witness.addCheckpoint(body([], empty(truth.tree.root(1)))).status).toBe(422);
    expect(witness.addCheckpoint(body([truth.tree.root(1)], empty(emptyRoot()))).status).toBe(422);
    expect(witness.addCheckpoint(body([truth.tree.root(1)], truth.checkpoint(3))).status).toBe(422);
    expect(witness.addCheckpoint(body([], empty(emptyRoot()))).status).toBe(200);
    expect(witness.addCheckpoint(body([], truth.checkpoint(3))).status).toBe(200);
  });

  it('a clock that goes back does not make cosignatures go back', () => {
    let nowMs = 2_000_000_000_000;
    const witness = makeWitness(() => nowMs);
    const timeOf = (body: string) =>
      Buffer.from(body.split('\n')[0]!.split(' ')[2]!, 'base64').readBigUInt64BE(4);
    expect(timeOf(witness.addCheckpoint(truth.request(0, 5)).body)).toBe(2_000_000_000n);
    nowMs = 1_000_000_000_000;
    expect(timeOf(witness.addCheckpoint(truth.request(5, 6)).body)).toBe(2_000_000_000n);
  });

  it('its database refuses to go back even when asked to', () => {
    const state = new WitnessState(':memory:');
    const record = (size: number, fill: number) => ({
      size,
      root: new Uint8Array(32).fill(fill),
      note: 'n',
      timestampSeconds: 1,
    });
    state.update(ORIGIN, () => record(5, 1));
    expect(() => state.update(ORIGIN, () => record(4, 1))).toThrow();
    expect(() => state.update(ORIGIN, () => record(5, 2))).toThrow();
    expect(state.get(ORIGIN)).toMatchObject({ size: 5 });
  });
});

describe('keys, configuration and HTTP', () => {
  const directories: string[] = [];
  const makeDirectory = () => {
    const directory = mkdtempSync(join(tmpdir(), 'pulsefold-witness-'));
    directories.push(directory);
    return directory;
  };
  afterEach(() => {
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
  });
  const scrypt = { costLog2: 14, blockSize: 8, parallelism: 1 };
  const configure = async (directory: string, extra = '') => {
    const made = await createWitnessKeys(
      join(directory, 'witness.key'),
      { name: 'w.example/1', algorithms: ['cosignature-ed25519', 'cosignature-sm2'] },
      'a long passphrase',
      scrypt,
    );
    writeFileSync(join(directory, 'secret.txt'), 'a long passphrase\n');
    const file = join(directory, 'witness.yaml');
    writeFileSync(
      file,
      `directory: state\nlisten: 127.0.0.1:0\nlogLevel: silent\nkey: { file: witness.key, passphraseFile: secret.txt }\nlogs:\n  - keys: ['${encodeVerifierKey(signer)}']\n${extra}`,
    );
    return { file, made };
  };

  it('key files open with their passphrase only', async () => {
    const directory = makeDirectory();
    const { made } = await configure(directory);
    expect(await loadWitnessKeys(join(directory, 'witness.key'), 'a long passphrase')).toEqual(made);
    await expect(loadWitnessKeys(join(directory, 'witness.key'), 'another passphrase')).rejects.toThrow(
      coded('FILE_SEALED'),
    );
    await expect(
      createWitnessKeys(
        join(directory, 'bad.key'),
        { name: 'a b', algorithms: ['cosignature-ed25519'] },
        'a long passphrase',
      ),
    ).rejects.toThrow(/key name/);
  });

  it('a configuration names its mistakes', async () => {
    const directory = makeDirectory();
    const { file } = await configure(directory, 'colour: red\n');
    expect(() => loadWitnessConfig(file)).toThrow(/witness.yaml.*colour/);
    writeFileSync(
      file,
      "directory: state\nkey: { file: k, passphraseEnv: P }\nlogs: [{ keys: ['x+00000000+AA=='] }]\n",
    );
    expect(() => loadWitnessConfig(file)).toThrow(/logs.0.keys.0/);
    writeFileSync(
      file,
      `directory: state\nkey: { file: k }\nlogs: [{ keys: ['${encodeVerifierKey(signer)}'] }]\n`,
    );
    expect(() => loadWitnessConfig(file)).toThrow(/exactly one of passphraseEnv/);
    expect(() => loadWitnessConfig(join(directory, 'none.yaml'))).toThrow(coded('CONFIG_INVALID'));
  });

  it('serves, survives a restart, and caps what it reads', async () => {
    const directory = makeDirectory();
    const { file, made } = await configure(directory);
    let running = await runWitness(file);
    expect(running.keyLines).toEqual(made.map(encodeVerifierKey));
    const at = (path: string) => `http://127.0.0.1:${running.port}${path}`;
    const post = (body: Uint8Array<ArrayBuffer>) => fetch(at('/add-checkpoint'), { method: 'POST', body });
    const request = (old: number, size: number, history = truth) =>
      new Uint8Array(history.request(old, size));
    const monitor = `/${createHash('sha256').update(ORIGIN).digest('hex')}/checkpoint`;
    try {
      expect((await fetch(at(monitor))).status).toBe(404);
      const answer = await post(request(0, 200));
      expect(answer.status).toBe(200);
      expect(
        acceptCosignatures(truth.checkpoint(200), await answer.text(), made.map(noteVerifier)),
      ).toHaveLength(2);
      await running.stop();
      running = await runWitness(file);
      const conflict = await post(request(0, 300));
      expect([conflict.status, conflict.headers.get('content-type'), await conflict.text()]).toEqual([
        409,
        'text/x.tlog.size',
        '200\n',
      ]);
      expect((await post(request(200, 300, fork))).status).toBe(422);
      expect(await (await fetch(at(monitor))).text()).toContain('\n200\n');
      expect((await post(new Uint8Array(200_000))).status).toBe(413);
      expect((await fetch(at('/add-checkpoint'))).status).toBe(405);
      expect((await fetch(at('/'))).status).toBe(404);
      expect((await fetch(at(`/${'0'.repeat(64)}/checkpoint`))).status).toBe(404);
      expect((await post(request(200, 300))).status).toBe(200);
    } finally {
      await running.stop();
    }
  });

  it('refuses an origin that is listed twice', () => {
    const log = { origin: ORIGIN, verifiers: [noteVerifier(signer)] };
    expect(
      () => new Witness({ keys, logs: [log, log], state: new WitnessState(':memory:'), nowMs: Date.now }),
    ).toThrow(coded('CONFIG_INVALID'));
  });
});
