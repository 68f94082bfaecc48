/**
 * Pulsefold's log against software that is not ours (experiments/interop/tlog, Go): an exported log directory, a
 * .tlog-proof, a running witness. Skipped where Go or its modules are missing.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runWitness } from '../../auditor/witness/server.ts';
import { parseTlogProof } from '../../crypto/log/tlog-proof.ts';
import { openWitnessedLog, type WitnessedLog, witnessConfig } from './testing-witnessed-log.ts';

const scratch = mkdtempSync(join(tmpdir(), 'pulsefold-go-'));
const binary = join(scratch, 'tlogcheck');

function build(): boolean {
  try {
    execFileSync('go', ['build', '-o', binary, '.'], {
      cwd: join(import.meta.dirname, 'tlog'),
      stdio: 'pipe',
      timeout: 240_000,
    });
    return true;
  } catch (error) {
    process.stderr.write(
      `skipped: the Go side cannot be built (${(error as Error).message.split('\n')[0]})\n`,
    );
    return false;
  }
}
const built = build();

describe.skipIf(!built)('golang.org/x/mod and transparency-dev/formats', () => {
  let open: WitnessedLog;
  const files = {
    policy: join(scratch, 'policy'),
    proof: join(scratch, 'a.tlog-proof'),
    leaf: join(scratch, 'leaf'),
  };
  const go = (...args: string[]) => execFileSync(binary, args, { encoding: 'utf8', stdio: 'pipe' });
  beforeAll(async () => {
    open = await openWitnessedLog(['cosignature-ed25519', 'cosignature-ml-dsa-44']);
    open.filler(700);
    open.certificate(1);
    const { log, signer, witnessing, directory } = open;
    witnessing.exported(join(directory, 'log'), log.export(directory, [signer]));
    await witnessing.idle();
    // Their parser takes a policy's quorum to be a group or a witness; both keys of the witness must have signed.
    const group = 'group both all w.example/1#1 w.example/1#2\nquorum both';
    writeFileSync(
      files.policy,
      witnessing.policyText().replaceAll('#', '-').replace('quorum none', group.replaceAll('#', '-')),
    );
    const { tlogProof } = open.proofs.prove(open.planHash, 1, 0)!;
    writeFileSync(files.proof, tlogProof);
    writeFileSync(files.leaf, parseTlogProof(tlogProof).extra!);
  });
  afterAll(async () => {
    await open.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it('verify an exported log: checkpoint, two cosignatures, tiles, bundles, proofs', () => {
    expect(go('log', join(open.directory, 'log'), files.policy)).toMatch(
      /701 entries, tiles and proofs verify/,
    );
    const path = join(open.directory, 'log', 'tile', 'entries', '001');
    const bytes = readFileSync(path);
    bytes[1_000]! ^= 1;
    writeFileSync(path, bytes);
    expect(() => go('log', join(open.directory, 'log'), files.policy)).toThrow();
  });

  it('verify a .tlog-proof', () => {
    expect(go('proof', files.proof, files.leaf, files.policy)).toMatch(/leaf 700 of 701 .* verifies/);
    writeFileSync(files.leaf, `${readFileSync(files.leaf, 'utf8')} `);
    expect(() => go('proof', files.proof, files.leaf, files.policy)).toThrow();
  });

  it.each(['cosignature-ed25519', 'cosignature-ml-dsa-44'] as const)(
    'get cosignatures (%s) from our witness, for growth only',
    async (algorithm) => {
      const directory = mkdtempSync(join(scratch, 'witness-'));
      // Their log says its key first; only then can a witness be told to watch it.
      const logKey = go('key').trim();
      const running = await runWitness(await witnessConfig(directory, [algorithm], [logKey]));
      try {
        const child = spawn(binary, ['witness', `http://127.0.0.1:${running.port}`, running.keyLines[0]!], {
          stdio: 'pipe',
        });
        let output = '';
        child.stdout.on('data', (text: Buffer) => (output += text.toString()));
        child.stderr.on('data', (text: Buffer) => (output += text.toString()));
        const code = await new Promise((resolve) => child.once('exit', resolve));
        expect({ code, output }).toEqual({
          code: 0,
          output: 'witness: growth cosigned, fork and rollback refused\n',
        });
      } finally {
        await running.stop();
      }
    },
  );
});
