import { describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../../crypto/bytes.ts';
import { getSuite, type SuiteName } from '../../crypto/identity/suite.ts';
import {
  cosignNote,
  encodeVerifierKey,
  type NoteSigner,
  signCheckpoint,
} from '../../crypto/log/checkpoint.ts';
import { encodeLeaf, type Leaf } from '../../crypto/log/leaves.ts';
import { MerkleTree } from '../../crypto/log/merkle.ts';
import { cosignerAt, generateCosignerKey } from '../../crypto/log/note-keys.ts';
import { encodeTlogPolicy, parseTlogPolicy } from '../../crypto/log/tlog-policy.ts';
import { tlogProofBytes } from '../../crypto/log/tlog-proof.ts';
import type { Receipt } from '../../protos/receipt.ts';
import { silentLogger } from './agent-types.ts';
import { systemClock } from './clock.ts';
import type { PlanSession } from './invitation.ts';
import { LogKeeper } from './log-keeper.ts';
import { ForkedLogError, type LogReply, type SeenLog, sizeOfSeen, verifyLogReply } from './log-watch.ts';
import { emptyState, MemoryClientStore } from './store.ts';

const coded = (code: string) => expect.objectContaining({ code });
const hex = (digit: string) => digit.repeat(64);
const ORIGIN = 'coordinator.example/log';

/** A coordinator that can keep several histories under one key. */
class Coordinator {
  readonly suite;
  readonly pair;
  readonly signer: NoteSigner;
  readonly session: PlanSession;
  constructor(suiteName: SuiteName = 'intl') {
    this.suite = getSuite(suiteName);
    this.pair = this.suite.generateSigningKey();
    this.signer = this.signerOf(ORIGIN);
    const plan = { coordinatorPublicKey: toHex(this.pair.publicKey) };
    this.session = { suite: this.suite, parsed: { plan, hashHex: hex('1') } } as unknown as PlanSession;
  }
  signerOf(name: string): NoteSigner {
    const { suite, pair } = this;
    const algorithm = suite.name === 'gm' ? 'sm2' : 'ed25519';
    return {
      name,
      algorithm,
      publicKey: pair.publicKey,
      sign: (message) => suite.sign(pair.secretKey, message),
    };
  }
}

const certificate = {
  modelHash: hex('2'),
  configHash: hex('3'),
  committeeKeyId: hex('4'),
  cohortRoot: hex('5'),
  cohortCount: 4,
  signatures: [{ holderId: 'holder-1', signature: '6'.repeat(128) }],
};
const receiptOf = (round: number): Receipt =>
  ({ version: 1, planHash: hex('1'), round, outcome: 'certified', certificate }) as Receipt;
const leafOf = (round: number, changes: object = {}): Leaf =>
  ({
    kind: 'round_certificate',
    version: 1,
    timeMs: 5,
    planHash: hex('1'),
    round,
    ...certificate,
    ...changes,
  }) as Leaf;

/** Leaf r is the certificate of round r + 1; `name` makes another history from leaf `forkAt` on. */
class History {
  readonly tree = new MerkleTree();
  readonly leaves: Uint8Array[] = [];
  constructor(size: number, forkAt = size) {
    for (let n = 0; n < size; n++) {
      this.leaves.push(encodeLeaf(leafOf(n + 1, n < forkAt ? {} : { timeMs: 6 })));
      this.tree.append(this.leaves[n]!);
    }
  }
  note(size: number, signers: readonly NoteSigner[], origin = ORIGIN): string {
    return signCheckpoint({ origin, size, root: this.tree.root(size) }, signers);
  }
  reply(index: number, size: number, checkpoint: string, seenSize = 0): LogReply {
    return {
      tlogProof: tlogProofBytes({
        extra: this.leaves[index],
        index,
        inclusion: this.tree.inclusionProof(index, size),
        checkpoint,
      }),
      logConsistency: seenSize <= size ? this.tree.consistencyProof(seenSize, size) : [],
    };
  }
}

const history = new History(40);

describe.each(['intl', 'gm'] as const)('a log of the %s suite', (suiteName) => {
  const coordinator = new Coordinator(suiteName);
  const { session, signer } = coordinator;
  const check = (round: number, reply: LogReply, seen?: SeenLog) =>
    verifyLogReply(session, { receipt: receiptOf(round) }, reply, { seen });

  it('grows under the eyes of the device', () => {
    let seen: SeenLog | undefined;
    for (const size of [1, 2, 7, 8, 31, 40]) {
      const reply = history.reply(size - 1, size, history.note(size, [signer]), sizeOfSeen(seen));
      ({ seen } = check(size, reply, seen));
      expect(sizeOfSeen(seen)).toBe(size);
    }
    // The same checkpoint again, for an earlier round: nothing new.
    const again = check(3, history.reply(2, 40, history.note(40, [signer]), 40), seen);
    expect(again.seen).toEqual(seen);
  });

  it('raises an alarm at a fork, a cut and a change of name, with both notes as evidence', () => {
    const seen = { note: history.note(20, [signer]) };
    const fork = new History(40, 15);
    const alarms: [string, LogReply][] = [
      ['fork', fork.reply(21, 40, fork.note(40, [signer]), 20)],
      ['fork of the same size', fork.reply(3, 20, fork.note(20, [signer]), 20)],
      ['cut', history.reply(3, 12, history.note(12, [signer]), 20)],
      [
        'no proof of consistency',
        { ...history.reply(3, 40, history.note(40, [signer]), 20), logConsistency: [] },
      ],
      [
        'another name',
        history.reply(3, 40, history.note(40, [coordinator.signerOf('b.example/log')], 'b.example/log'), 20),
      ],
    ];
    for (const [name, reply] of alarms) {
      let caught: unknown;
      try {
        check(4, reply, seen);
      } catch (error) {
        caught = error;
      }
      expect(caught, name).toBeInstanceOf(ForkedLogError);
      expect(caught, name).toMatchObject({
        code: 'LOG_INCONSISTENT',
        notes: [seen.note, expect.any(String)],
      });
    }
  });

  it('what somebody else signed is no alarm: only the coordinator can incriminate itself', () => {
    const seen = { note: history.note(20, [signer]) };
    const fork = new History(40, 15);
    const forged = fork.reply(21, 40, fork.note(40, [new Coordinator(suiteName).signer]), 20);
    expect(() => check(22, forged, seen)).toThrow(coded('BAD_SIGNATURE'));
    const garbled = { ...forged, tlogProof: utf8('c2sp.org/tlog-proof@v1\nindex 0\n') };
    expect(() => check(22, garbled, seen)).toThrow(coded('MALFORMED_MESSAGE'));
  });
});

describe('the leaf of the proof', () => {
  const { session, signer } = new Coordinator();
  const note = history.note(40, [signer]);
  const check = (receipt: Receipt, reply: LogReply) =>
    verifyLogReply(session, { receipt }, reply, { seen: undefined });

  it('must be of this round, plan, model and cohort', () => {
    const reply = history.reply(6, 40, note);
    expect(check(receiptOf(7), reply).witnessed).toBe(true);
    expect(() => check(receiptOf(8), reply)).toThrow(coded('PROOF_INVALID'));
    expect(() => check({ ...receiptOf(7), planHash: hex('a') }, reply)).toThrow(coded('PROOF_INVALID'));
    for (const field of ['modelHash', 'configHash', 'committeeKeyId', 'cohortRoot'] as const) {
      const other = { ...receiptOf(7), certificate: { ...certificate, [field]: hex('b') } };
      expect(() => check(other, reply), field).toThrow(coded('PROOF_INVALID'));
    }
    const { certificate: _, ...bare } = receiptOf(7);
    const aborted = { ...bare, outcome: 'aborted', abort: { reason: 'r', signatures: [] } } as Receipt;
    expect(() => check(aborted, reply)).toThrow(coded('PROOF_INVALID'));
  });

  it('must be in the tree', () => {
    const extra = encodeLeaf(leafOf(7, { timeMs: 99 }));
    const tlogProof = tlogProofBytes({
      extra,
      index: 6,
      inclusion: history.tree.inclusionProof(6, 40),
      checkpoint: note,
    });
    expect(() => check(receiptOf(7), { tlogProof, logConsistency: [] })).toThrow(coded('PROOF_INVALID'));
    const without = tlogProofBytes({
      index: 6,
      inclusion: history.tree.inclusionProof(6, 40),
      checkpoint: note,
    });
    expect(() => check(receiptOf(7), { tlogProof: without, logConsistency: [] })).toThrow(
      coded('PROOF_INVALID'),
    );
  });

  it('an abort has its own leaf', () => {
    const tree = new MerkleTree();
    const leaf = {
      kind: 'abort',
      version: 1,
      timeMs: 5,
      planHash: hex('1'),
      round: 2,
      reason: 'too few',
      signatures: certificate.signatures,
    } as Leaf;
    const extra = encodeLeaf(leaf);
    tree.append(extra);
    const checkpoint = signCheckpoint({ origin: ORIGIN, size: 1, root: tree.root() }, [signer]);
    const reply = {
      tlogProof: tlogProofBytes({ extra, index: 0, inclusion: [], checkpoint }),
      logConsistency: [],
    };
    const receipt = {
      version: 1,
      planHash: hex('1'),
      round: 2,
      outcome: 'aborted',
      abort: { reason: 'too few', signatures: [] },
    };
    expect(check(receipt as unknown as Receipt, reply).witnessed).toBe(true);
    expect(() =>
      check({ ...receipt, abort: { reason: 'other', signatures: [] } } as unknown as Receipt, reply),
    ).toThrow(coded('PROOF_INVALID'));
  });
});

describe('what is remembered', () => {
  const coordinator = new Coordinator();
  const { session, signer } = coordinator;
  const witness = generateCosignerKey('w.example/1', 'cosignature-ed25519');
  const logPolicy = parseTlogPolicy(
    encodeTlogPolicy({ logs: [], witnesses: [{ name: 'w', key: witness }], lines: ['quorum w'] }),
  );
  const plain = history.note(40, [signer]);
  const cosigned = cosignNote(plain, cosignerAt(witness, 5));
  const open = (options: object = {}) => {
    const store = new MemoryClientStore();
    const state = emptyState();
    return {
      store,
      state,
      keeper: new LogKeeper({ store, clock: systemClock, ...options }, state, silentLogger),
    };
  };

  it('a proof without its quorum is asked for again until the witness has signed', async () => {
    const { store, state, keeper } = open({ logPolicy });
    await keeper.check(session, receiptOf(7), history.reply(6, 40, plain));
    expect(state.log.unwitnessed).toMatchObject([{ round: 7 }]);
    expect(keeper.sizeSeen(session)).toBe(40);
    expect(await keeper.recheck(session, async () => history.reply(6, 40, plain, 40), 0)).toBe(false);
    let asked = 0;
    const ask = async () => history.reply(6, 40, ++asked < 2 ? plain : cosigned, 40);
    expect(await keeper.recheck(session, ask, 5_000)).toBe(true);
    expect(state.log.unwitnessed).toEqual([]);
    expect([...store.logProofs]).toEqual([[`${hex('1')}-7`, history.reply(6, 40, cosigned).tlogProof]]);
    expect(encodeVerifierKey(witness)).toContain('w.example/1');
  });

  it('an alarm stays over a restart, with its evidence, until the person says otherwise', async () => {
    const { store, state, keeper } = open();
    await keeper.check(session, receiptOf(7), history.reply(6, 20, history.note(20, [signer])));
    expect(keeper.alarmOf(session)).toBeUndefined();
    const fork = new History(40, 3);
    await keeper.check(session, receiptOf(7), fork.reply(6, 40, fork.note(40, [signer]), 20));
    await store.saveState(state);
    const reread = await store.loadState();
    const restarted = (options: object = {}) =>
      new LogKeeper({ store, clock: systemClock, ...options }, reread, silentLogger).alarmOf(session);
    expect(restarted()).toMatchObject({ code: 'LOG_INCONSISTENT', message: expect.stringMatching(/^ALARM/) });
    expect(restarted({ continueAfterLogAlarm: true })).toBeUndefined();
    expect(reread.log.alarms[session.parsed.plan.coordinatorPublicKey]?.notes).toEqual([
      history.note(20, [signer]),
      fork.note(40, [signer]),
    ]);
    // Another coordinator is not concerned.
    expect(
      new LogKeeper({ store, clock: systemClock }, reread, silentLogger).alarmOf(new Coordinator().session),
    ).toBeUndefined();
  });

  it('a reply that proves nothing changes nothing', async () => {
    const { state, keeper } = open();
    await keeper.check(session, receiptOf(7), { tlogProof: new Uint8Array(0), logConsistency: [] });
    await keeper.check(session, receiptOf(7), { tlogProof: utf8('x'), logConsistency: [] });
    expect(state.log).toEqual(emptyState().log);
  });
});
