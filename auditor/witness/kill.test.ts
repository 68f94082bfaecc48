import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import { encodeVerifierKey, parseCheckpointText, parseSignedNote } from '../../crypto/log/checkpoint.ts';
import { noteVerifier } from '../../crypto/log/note-keys.ts';
import { acceptCosignatures } from '../../crypto/log/witness-protocol.ts';
import { createWitnessKeys } from './key-file.ts';
import { History, makeLogSigner } from './testing.ts';

/** Leaves that both histories share. */
const SHARED = 5;
const KILLS = 3;

describe('two forks against a witness that is killed again and again', () => {
  const children: ChildProcess[] = [];
  const directories: string[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
  });

  async function start(file: string): Promise<{ child: ChildProcess; port: number }> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'witness.fixture.ts'), file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const port = await new Promise<number>((resolve, reject) => {
      child.stdout!.once('data', (text: Buffer) => resolve(Number(text.toString())));
      child.once('exit', (code) => reject(new Error(`the witness exited with ${code}`)));
    });
    return { child, port };
  }

  const stopped = (child: ChildProcess): Promise<unknown> =>
    child.exitCode !== null || child.signalCode !== null
      ? Promise.resolve()
      : new Promise((resolve) => child.once('exit', resolve));

  /** Roots that got a cosignature, by size. `forget`: the state is thrown away at each kill. */
  async function play(forget: boolean): Promise<Map<number, Set<string>>> {
    const directory = mkdtempSync(join(tmpdir(), 'pulsefold-witness-'));
    directories.push(directory);
    const signer = makeLogSigner();
    const keys = await createWitnessKeys(
      join(directory, 'witness.key'),
      { name: 'w.example/1', algorithms: ['cosignature-ed25519'] },
      'a long passphrase',
      { costLog2: 14, blockSize: 8, parallelism: 1 },
    );
    const verifiers = keys.map(noteVerifier);
    writeFileSync(join(directory, 'secret.txt'), 'a long passphrase\n');
    const file = join(directory, 'witness.yaml');
    writeFileSync(
      file,
      `directory: state\nlisten: 127.0.0.1:0\nlogLevel: silent\nkey: { file: witness.key, passphraseFile: secret.txt }\nlogs:\n  - keys: ['${encodeVerifierKey(signer)}']\n`,
    );
    const cosigned = new Map<number, Set<string>>();
    let cosignedCount = 0;
    const histories = ['a', 'b'].map((name) => new History(signer, 400, name, SHARED));

    /** One side of the fork pushes its history as fast as it can, resuming from the size that the witness names. */
    async function push(history: History, url: string, over: () => boolean): Promise<void> {
      let old = 0;
      while (!over()) {
        const size = Math.min(400, old + 1);
        const checkpoint = history.checkpoint(size);
        const body = new Uint8Array(history.request(old, size, checkpoint));
        const answer = await fetch(url, { method: 'POST', body }).catch(() => undefined);
        const text = await answer?.text().catch(() => undefined);
        if (answer === undefined || text === undefined) return;
        if (answer.status === 409) old = Math.min(400, Number(text));
        if (answer.status !== 200) {
          // The other history is ahead: try to get one of the same size in, too.
          if (answer.status === 422) return;
          continue;
        }
        acceptCosignatures(checkpoint, text, verifiers);
        const { root } = parseCheckpointText(parseSignedNote(checkpoint).text);
        cosignedCount++;
        cosigned.set(size, (cosigned.get(size) ?? new Set()).add(toHex(root)));
        old = size;
      }
    }

    for (let kill = 0; kill < KILLS; kill++) {
      const { child, port } = await start(file);
      const before = cosignedCount;
      const enough = () => cosignedCount - before >= 12 + 5 * kill;
      const url = `http://127.0.0.1:${port}/add-checkpoint`;
      // The side that comes first differs from life to life; once it is past the fork, the other one joins.
      const sides = kill % 2 === 0 ? histories : [...histories].reverse();
      const [first, second] = sides;
      let joined = Promise.resolve();
      await push(first!, url, () => {
        if (cosignedCount - before === SHARED + 2) joined = push(second!, url, enough);
        return enough();
      });
      // Killed in the middle of whatever the two have under way.
      const last = sides.map((history) => push(history, url, () => false));
      await new Promise((resolve) => setTimeout(resolve, 3 + 8 * kill));
      child.kill('SIGKILL');
      await Promise.all([stopped(child), joined, ...last]);
      if (forget) rmSync(join(directory, 'state'), { recursive: true, force: true });
    }
    return cosigned;
  }

  const forked = (cosigned: Map<number, Set<string>>): number[] =>
    [...cosigned].filter(([, roots]) => roots.size > 1).map(([size]) => size);

  it('never cosigns both', async () => {
    const cosigned = await play(false);
    expect(cosigned.size).toBeGreaterThan(SHARED + 10);
    expect(forked(cosigned)).toEqual([]);
  });

  it('a witness that forgets does: the test above can fail', async () => {
    expect(forked(await play(true)).length).toBeGreaterThan(0);
  });
});
