// Goal: what a person kept beside the receipts is compared with the bundle's log; another log, another leaf or a missing
// consent is named.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fromUtf8, toHex, utf8 } from '../../crypto/bytes.ts';
import type { Leaf, LeafOf } from '../../crypto/log/leaves.ts';
import { MerkleTree } from '../../crypto/log/merkle.ts';
import {
  consentRecord,
  consentStatement,
  purposeDigestOf,
  statementCommitment,
} from '../../protos/consent.ts';
import { RunFixture } from '../testing.ts';
import { openHistoryRun, proveHistory } from './history.ts';
import { contradict, hasForgedConsents, type OwnConsent, type OwnProof, subtreesOf } from './own-proofs.ts';
import { DEVICE, PSEUDONYM, proofOf, signed, takePart } from './testing.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-own-proofs-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const TERMS = { required: true, controller: 'Heart Institute', contact: 'x', retentionDays: 30 } as const;
const run = new RunFixture({ consent: TERMS });
const device = run.suite.generateSigningKey();

const statement = consentRecord.encode({
  version: 1,
  kind: 'consent',
  deviceId: DEVICE,
  pseudonym: PSEUDONYM,
  epoch: '1',
  scope: `plan:${run.parsed.hashHex}`,
  planHash: run.parsed.hashHex,
  purposeDigest: purposeDigestOf(run.parsed),
  columns: ['age', 'event', 'pulse'],
  retentionDays: 30,
  privacy: { unit: 'person', epsilon: '3', delta: '0.00001' },
  timeMs: 1_700_000_000_000,
});
const signature = run.suite.sign(device.secretKey, consentStatement(statement));
const own: OwnConsent = { consent: fromUtf8(statement), signature: toHex(signature), receipt: '{}' };

const consentLeaf = (pseudonym: string, commitment: string): Leaf => ({
  kind: 'consent_commitment',
  version: 1,
  timeMs: 1_789_999_999_000,
  commitment,
  planHash: run.parsed.hashHex,
  pseudonym,
  scope: `plan:${run.parsed.hashHex}`,
  purposeDigest: purposeDigestOf(run.parsed),
});
const others = ['1', '2', '3', '4', '5']
  .map((digit) => digit.repeat(64))
  .filter((name) => name !== PSEUDONYM);
run.leaves.splice(
  1,
  0,
  consentLeaf(PSEUDONYM, statementCommitment(run.suite, consentStatement(statement), signature)),
  ...others.map((name, i) => consentLeaf(name, run.hash('consent', i))),
);
const receipts = takePart(run).map((receipt) => signed(run, receipt));
const opened = openHistoryRun(run.write(join(root, 'run')), { logKey: run.logKey });

const decision = proofOf(run, run.leaf('round_certificate', 1), 'decision', 1);
const charge = proofOf(run, run.leaf('settlement', 1), 'settlement', 1);
const prove = (logProofs: readonly OwnProof[], consents: readonly OwnConsent[] = []) =>
  proveHistory(receipts, [opened], { logProofs, consents });

describe('own proofs of logging', () => {
  it('show the round and the charge, also from an earlier log', () => {
    const size = run.leaves.indexOf(run.leaf('settlement', 1)) + 3;
    const early = proofOf(run, run.leaf('round_certificate', 3), 'decision', 3);
    const history = prove([decision, proofOf(run, run.leaf('settlement', 1), 'settlement', 1, size), early]);
    expect(history).toMatchObject({ ok: true, problems: [], logProofs: { given: 3, agree: 3 } });
    expect(history.entries.map(({ logProofs }) => logProofs)).toEqual([
      ['decision', 'settlement'],
      ['decision'],
    ]);
    expect(prove([]).entries.map(({ logProofs }) => logProofs)).toEqual([[], []]);
  });

  const forked = new RunFixture({ consent: TERMS });
  it('of another history, signed by the same coordinator, are an alarm', () => {
    // What a coordinator would have to show: the same leaf, another log around it.
    forked.leaves = [...run.leaves];
    const extra = consentLeaf('7'.repeat(64), '7'.repeat(64));
    forked.leaves.splice(3, 0, extra);
    Object.assign(forked, { coordinator: run.coordinator });
    const signer = { ...run.signer };
    Object.assign(forked, { signer });
    const history = prove([proofOf(forked, run.leaf('round_certificate', 1), 'decision', 1)]);
    expect(history).toMatchObject({ ok: false, problems: ['LOG_FORKED'] });
  });

  it('from a later log than the bundle are compared in every part of their path', () => {
    const later = new RunFixture({ consent: TERMS });
    Object.assign(later, { coordinator: run.coordinator, signer: { ...run.signer } });
    const more = consentLeaf('7'.repeat(64), '7'.repeat(64));
    later.leaves = [...run.leaves, more];
    const proof = () => proofOf(later, run.leaf('round_certificate', 1), 'decision', 1);
    expect(prove([proof()])).toMatchObject({ ok: true, problems: [] });
    // Leaf 0 is another; the path only has the hash of a subtree with it.
    later.leaves = [{ ...run.leaves[0]!, timeMs: 5 }, ...run.leaves.slice(1), more];
    expect(prove([proof()])).toMatchObject({ ok: false, problems: ['LOG_FORKED'] });
  });

  it.each<[string, OwnProof]>([
    ['of another round', { ...decision, round: 3 }],
    ['of another kind', { ...decision, what: 'settlement' }],
    ['with a changed leaf', { ...decision, proof: decision.proof.replace(/^extra ....../m, 'extra AAAAAA') }],
    [
      'with a changed checkpoint',
      { ...decision, proof: decision.proof.replace('pulsefold.example/log\n', 'x/log\n') },
    ],
    ['with another place', { ...decision, proof: decision.proof.replace(/^index \d+/m, 'index 1') }],
    ['that is no proof', { ...decision, proof: 'trust me' }],
  ])('%s prove nothing, and it is said', (_name, proof) => {
    const history = prove([proof]);
    expect(history.problems).toEqual(['LOG_PROOF_INVALID']);
    expect(history.ok).toBe(false);
  });

  it('of a log under another key prove nothing', () => {
    const stranger = new RunFixture({ consent: TERMS });
    stranger.leaves = [...run.leaves];
    const history = prove([proofOf(stranger, run.leaf('round_certificate', 1), 'decision', 1)]);
    expect(history.problems).toEqual(['LOG_PROOF_INVALID']);
  });

  it('of a charge that is somebody else’s show nothing of one’s own', () => {
    const released = run.leaf('settlement', 1, 1);
    expect(released.outcome).toBe('released');
    expect(prove([proofOf(run, released, 'settlement', 1)]).entries[0]!.logProofs).toEqual([]);
    expect(prove([charge]).entries[0]!.logProofs).toEqual(['settlement']);
  });
});

describe('proofs of one log, compared with each other', () => {
  const treeOf = (changed?: number) => {
    const tree = new MerkleTree();
    for (let i = 0; i < 21; i++) tree.append(utf8(`leaf ${i}${i === changed ? ' of another log' : ''}`));
    return tree;
  };
  const shownOf = (tree: MerkleTree, index: number, size: number) => {
    const inclusion = tree.inclusionProof(index, size);
    const subtrees = subtreesOf({ hash: tree.leafHashAt(index), index, size, inclusion });
    return { size, root: tree.root(size), subtrees };
  };
  const one = treeOf();

  it('never contradict each other, and name only subtrees that the tree has', () => {
    const all = Array.from({ length: 21 }, (_, i) => i + 1).flatMap((size) =>
      Array.from({ length: size }, (_, index) => shownOf(one, index, size)),
    );
    expect(contradict(all)).toBe(false);
    for (const { level, number, hash } of all.flatMap(({ subtrees }) => subtrees))
      expect(toHex(one.nodes(level, number, 1)[0]!)).toBe(toHex(hash));
    // The whole of a tree of 2^k leaves, whichever leaf is asked for.
    expect(shownOf(one, 5, 16).subtrees).toContainEqual({ level: 4, number: 0, hash: one.root(16) });
  });

  it('contradict proofs of another where both name the part that differs', () => {
    const other = treeOf(1);
    // Leaves 2 and 6 in trees of 9 and 12: neither is leaf 1, both paths name leaves 0 and 1 or 0 to 3.
    expect(contradict([shownOf(one, 2, 9), shownOf(other, 6, 12)])).toBe(true);
    expect(contradict([shownOf(one, 2, 12), shownOf(other, 6, 12)])).toBe(true);
    expect(contradict([shownOf(one, 2, 9), shownOf(treeOf(11), 6, 12)])).toBe(false);
    // The limit: leaves 0 to 7 and 8 beside leaves 0 to 15, 16 to 19 and 20. A bundle shows it.
    expect(contradict([shownOf(one, 8, 9), shownOf(other, 20, 21)])).toBe(false);
  });
});

const ended = () => fromUtf8(consentRecord.encode({ ...consentRecord.parse(statement), expiresMs: 5 }));

describe('own consents', () => {
  it('stand in the log, by the hash of what was signed', () => {
    expect(prove([], [own])).toMatchObject({ ok: true, consents: { given: 1, proven: 1 } });
  });

  it.each<[string, OwnConsent]>([
    ['another signature', { ...own, signature: '0'.repeat(128) }],
    ['other words', { ...own, consent: own.consent.replace('"retentionDays":30', '"retentionDays":31') }],
    ['no statement', { ...own, consent: 'yes' }],
  ])('with %s do not', (_name, consent) => {
    expect(prove([], [consent])).toMatchObject({ ok: false, problems: ['CONSENT_NOT_IN_LOG'] });
  });

  const { pseudonym: _whose, ...anonymous } = consentLeaf(PSEUDONYM, '') as LeafOf<'consent_commitment'>;
  const AT = anonymous.timeMs;
  const others64 = Array.from({ length: 64 }, (_, i) => {
    const consent = own.consent.replace('1700000000000', String(AT + 3_600_000 + i));
    return { ...own, consent };
  });
  // The log has one consent of PSEUDONYM, `own`, and others of other people.
  it.each<[string, readonly OwnConsent[], string, number, boolean]>([
    ['are all that stand in one’s name', [own], PSEUDONYM, 1, false],
    ['are none, and there is one in one’s name', [], PSEUDONYM, 1, true],
    ['with another end are not this one', [{ ...own, consent: ended() }], PSEUDONYM, 1, true],
    ['are none, and the file is older than the leaf', [], PSEUDONYM, -1, false],
    ['are none, nor in the log', [], '9'.repeat(64), 1, false],
    ['of a device that dropped the oldest', others64, PSEUDONYM, 1, false],
    ['of a device that dropped none', others64.slice(1), PSEUDONYM, 1, true],
  ])('%s', (_name, consents, pseudonym, hours, forged) => {
    const unanswered = consents.map(({ consent, signature }) => ({ consent, signature }));
    const writer = { pseudonyms: [pseudonym], madeMs: AT + hours * 3_600_000 };
    const history = proveHistory(receipts, [opened], { consents: unanswered, writer });
    expect(history.problems).toEqual(forged ? ['CONSENT_FORGED'] : []);
    expect(history.ok).toBe(!forged);
  });

  it.each<[string, Partial<LeafOf<'consent_commitment'>>]>([
    ['another scope', { scope: 'family:all' }],
    ['another purpose', { purposeDigest: '8'.repeat(64) }],
    ['another end', { expiresMs: 5 }],
  ])('whose commitment stands in a leaf with %s are found', (_name, changes) => {
    const given = { pseudonyms: [PSEUDONYM], consents: [own], madeMs: AT + 3_600_000 };
    const changed = opened.consents.map((leaf) => ({ ...leaf, ...changes }));
    expect(hasForgedConsents(opened, given)).toBe(false);
    expect(hasForgedConsents({ ...opened, consents: changed }, given)).toBe(true);
  });

  it('that the coordinator never receipted, or of a plan without a bundle, say nothing', () => {
    const { receipt: _, ...unanswered } = own;
    const elsewhere = { ...own, consent: own.consent.replaceAll(run.parsed.hashHex, 'a'.repeat(64)) };
    const history = prove([], [unanswered, elsewhere]);
    expect(history).toMatchObject({ ok: true, consents: { given: 2, proven: 0 } });
    expect(utf8(elsewhere.consent).length).toBeGreaterThan(0);
  });
});
