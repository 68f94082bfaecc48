import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { RunFixture } from '../testing.ts';
import {
  DIGEST_NAME,
  digestLine,
  encodeManifest,
  MANIFEST_NAME,
  type Manifest,
  parseManifest,
} from './manifest.ts';
import { describeFault, readBundle } from './read.ts';
import { evidenceOf, findRuns, folderOf } from './run-files.ts';
import { BLOCK_BYTES, paddingBytes, tarHeader } from './tar.ts';
import { verifyEvidence } from './verify.ts';
import { writeBundle } from './write.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-bundle-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const fresh = (): string => mkdtempSync(join(root, 'case-'));

const run = new RunFixture();
const directory = run.write(join(fresh(), 'run'));
const bundlePath = join(root, 'run.bundle');
const written = writeBundle([directory], bundlePath);
const bytes = readFileSync(bundlePath);
const folder = folderOf(run.parsed);
const changed = (change: (copy: Buffer) => Buffer | undefined): string => {
  const copy = Buffer.from(bytes);
  const path = join(root, 'changed.bundle');
  writeFileSync(path, change(copy) ?? copy);
  return path;
};

/** Start, length and name of everything in an archive, in order. */
function layoutOf(manifest: Manifest): { name: string; start: number; bytes: number }[] {
  const encoded = encodeManifest(manifest);
  const members = [
    { name: MANIFEST_NAME, bytes: encoded.length },
    { name: DIGEST_NAME, bytes: digestLine(encoded).length },
    ...manifest.members,
  ];
  const layout: { name: string; start: number; bytes: number }[] = [];
  let at = 0;
  for (const { name, bytes: length } of members) {
    const padding = paddingBytes(length);
    layout.push({ name: `tar header of ${name}`, start: at, bytes: BLOCK_BYTES });
    layout.push({ name, start: at + BLOCK_BYTES, bytes: length });
    layout.push({ name: `padding after ${name}`, start: at + BLOCK_BYTES + length, bytes: padding });
    at += BLOCK_BYTES + length + padding;
  }
  return [...layout, { name: 'end of the archive', start: at, bytes: 1024 }];
}
const manifestOf = (): Manifest => readBundle(bundlePath).manifest!;

describe('a bundle', () => {
  it('is intact, passes the audit, and says what it is', () => {
    const audited = verifyEvidence(bundlePath);
    expect(audited).toMatchObject({
      ok: true,
      faults: [],
      evidence: { kind: 'bundle', sha256: written.sha256, bytes: bytes.length, members: written.members },
    });
    expect(audited.runs.map(({ folder: name, result }) => [name, result.planHash])).toEqual([
      [folder, run.parsed.hashHex],
    ]);
    expect(audited.runs[0]!.result).toEqual(verifyEvidence(directory).runs[0]!.result);
  });

  it('has the same bytes for the same evidence, and covers the whole file', () => {
    const again = join(root, 'again.bundle');
    writeBundle([directory], again);
    expect(readFileSync(again).equals(bytes)).toBe(true);
    const end = layoutOf(manifestOf()).at(-1)!;
    expect(end.start + end.bytes).toBe(bytes.length);
  });

  it('holds the evidence and nothing else that lies in the directory', () => {
    const extra = run.write(join(fresh(), 'run'));
    writeFileSync(join(extra, 'predictions.csv'), 'row,label,score\n');
    writeFileSync(join(extra, 'log', '.hidden'), 'x');
    mkdirSync(join(extra, 'private'));
    writeFileSync(join(extra, 'private', 'key'), 'secret');
    symlinkSync('/etc/hostname', join(extra, 'log', 'link'));
    expect(evidenceOf(extra, folder)).toEqual(evidenceOf(directory, folder));
    const out = join(root, 'extra.bundle');
    writeBundle([extra], out);
    expect(readFileSync(out).equals(bytes)).toBe(true);
  });

  it('takes several runs, found beneath one directory', () => {
    const parent = fresh();
    const other = new RunFixture({ unit: 'record' });
    run.write(join(parent, 'a'));
    other.write(join(parent, 'b'));
    const out = join(root, 'two.bundle');
    expect(
      writeBundle(findRuns(parent), out)
        .runs.map((item) => item.planHash)
        .sort(),
    ).toEqual([run.parsed.hashHex, other.parsed.hashHex].sort());
    expect(verifyEvidence(out)).toMatchObject({ ok: true });
    expect(verifyEvidence(out, { planHash: other.parsed.hashHex }).ok).toBe(true);
    expect(verifyEvidence(out, { planHash: '0'.repeat(64) }).ok).toBe(false);
  });

  it('leaves nothing behind in the temporary directory', () => {
    // One of its own: other tests use the common one at the same time.
    const own = fresh();
    vi.stubEnv('TMPDIR', own);
    try {
      verifyEvidence(bundlePath);
      verifyEvidence(changed((copy) => copy.fill(0, 600, 700)));
    } finally {
      vi.unstubAllEnvs();
    }
    expect(readdirSync(own)).toEqual([]);
  });
});

describe('one flipped bit', () => {
  it('is found and its place named, in every header, member, padding, and at the end', () => {
    const missed: string[] = [];
    for (const { name, start, bytes: length } of layoutOf(manifestOf())) {
      const samples = new Set([0, 1, Math.floor(length / 2), length - 2, length - 1].filter((i) => i >= 0));
      // Long members: one byte of every piece, too.
      for (let i = 2000; i < length; i += 4096) samples.add(i);
      for (const i of samples) {
        if (i >= length) continue;
        const bit = 1 << (i % 8);
        const { faults } = readBundle(
          changed((copy) => {
            copy[start + i]! ^= bit;
            return copy;
          }),
        );
        const named = faults.some(
          (fault) =>
            fault.place === name && (length === 80 || (fault.offset <= i && i < fault.offset + fault.bytes)),
        );
        if (!named) missed.push(`${name} byte ${i}: ${faults.map(describeFault).join('; ')}`);
      }
    }
    expect(missed).toEqual([]);
  });

  it('makes verify fail without auditing', () => {
    const { ok, faults, runs } = verifyEvidence(
      changed((copy) => {
        copy[bytes.length - 3000]! ^= 1;
        return copy;
      }),
    );
    expect([ok, faults.length, runs]).toEqual([false, 1, []]);
    expect(describeFault(faults[0]!)).toMatch(
      /heart-risk-[0-9a-f]{12}\/.*, bytes \d+–\d+ \(file offset \d+\): /,
    );
  });

  it.each([
    ['cut off', (copy: Buffer) => copy.subarray(0, -1)],
    ['cut within a member', (copy: Buffer) => copy.subarray(0, 20_000)],
    ['cut within the manifest', (copy: Buffer) => copy.subarray(0, 700)],
    ['empty', () => Buffer.alloc(0)],
    ['longer', (copy: Buffer) => Buffer.concat([copy, Buffer.from([0])])],
    ['another kind of file', () => Buffer.from('hello')],
    [
      'two blocks swapped',
      (copy: Buffer) => Buffer.concat([copy.subarray(512, 1024), copy.subarray(0, 512), copy.subarray(1024)]),
    ],
  ])('%s', (_name, change) => {
    expect(verifyEvidence(changed(change)).ok).toBe(false);
    expect(readBundle(join(root, 'changed.bundle')).faults.length).toBeGreaterThan(0);
  });
});

describe('a forger who writes a fitting manifest', () => {
  it.each([
    ['log/leaves.ndjson', '"cohortCount":4', '"cohortCount":5'],
    ['plan.json', '"epsilon":"3"', '"epsilon":"9"'],
    ['rounds/1.json', '3000', '3001'],
    ['ledger.json', '"chargeSteps":', '"chargeSteps":1'],
    ['log/checkpoint', '/log\n24', '/log\n23'],
  ])('is caught by the signatures: %s', (name, from, to) => {
    const forged = run.write(join(fresh(), 'run'));
    const path = join(forged, name);
    const text = readFileSync(path, 'utf8');
    expect(text).toContain(from);
    writeFileSync(path, text.replace(from, to));
    const out = join(fresh(), 'forged.bundle');
    writeBundle([forged], out);
    const audited = verifyEvidence(out, { logKey: run.logKey, planHash: run.parsed.hashHex });
    expect(audited.faults).toEqual([]);
    expect(audited.ok).toBe(false);
  });
});

describe('bad input', () => {
  const manifest = manifestOf();
  const encode = (value: unknown) => encodeManifest(value as Manifest);
  const first = manifest.members[0]!;
  it.each([
    ['a path out of the bundle', { ...first, name: '../plan.json' }],
    ['an absolute path', { ...first, name: '/etc/passwd' }],
    ['a file that no run has', { ...first, name: `${folder}/private.key` }],
    ['a dotted part', { ...first, name: `${folder}/log/../plan.json` }],
    ['another number of pieces', { ...first, bytes: first.bytes + 100_000 }],
    ['no digest', { ...first, sha256: 'x' }],
  ])('a manifest with %s is refused', (_name, member) => {
    expect(() => parseManifest(encode({ ...manifest, members: [member] }))).toThrow(/MANIFEST\.json/);
  });

  it('a manifest whose members repeat or are unsorted is refused', () => {
    expect(() => parseManifest(encode({ ...manifest, members: [first, first] }))).toThrow(/sorted/);
    expect(() => parseManifest(encode({ ...manifest, members: manifest.members.toReversed() }))).toThrow(
      /sorted/,
    );
  });

  it('an archive with a member that leaves its directory is not unpacked', () => {
    const evil = encode({ ...manifest, members: [{ ...first, name: '../../evil/plan.json' }] });
    const path = changed(() =>
      Buffer.concat([
        tarHeader(MANIFEST_NAME, evil.length),
        evil,
        Buffer.alloc(paddingBytes(evil.length)),
        tarHeader(DIGEST_NAME, 80),
        digestLine(evil),
        Buffer.alloc(paddingBytes(80) + 1024),
      ]),
    );
    const into = fresh();
    expect(readBundle(path, into).manifest).toBeUndefined();
    expect(readdirSync(into)).toEqual([]);
  });

  it('names what to do', () => {
    expect(() => findRuns(fresh())).toThrow(/holds no plan\.json/);
    expect(() => findRuns(join(root, 'nowhere'))).toThrow(/no such directory/);
    expect(() => writeBundle([directory], bundlePath)).toThrow(/exists already/);
    expect(() => writeBundle([directory, directory], join(root, 'x.bundle'))).toThrow(/exported twice/);
    expect(() => verifyEvidence(join(root, 'nowhere'))).toThrow(/no such directory or file/);
  });
});
