/**
 * The ceremony against a relay that meddles and a holder that cheats; the culprit is named where it can be
 * known.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concat, equalBytes } from '../crypto/bytes.ts';
import { decodeState, encodeState } from '../crypto/secagg/ceremony.ts';
import { contextOf, keyCommitment, shareHash } from '../crypto/secagg/ceremony-commitments.ts';
import {
  type CeremonyPart,
  type CeremonyPhase,
  type CeremonyStepReply,
  decodeBeginPayload,
  decodeRevealPayload,
  decodeTestPayload,
  encodeBeginPayload,
  encodeCommitKeyPayload,
  encodeRevealPayload,
  encodeTestPayload,
} from '../protos/keyholder-messages.ts';
import { ceremonyId, sealedShareContext } from '../protos/statements.ts';
import { pack, unpack } from './packed.ts';
import { HolderStore, type RoundRef, type StoredStep } from './store.ts';
import { Committee, createWorld, type Relay, signedPartOf, type TestHolder, type World } from './testing.ts';

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

let world: World;
let committee: Committee;
let round = 0;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => committee.close());

/** A fresh committee every five rounds, which is what the plan has keys for. */
function nextRound(): number {
  if (!committee || round === 5) {
    committee?.close();
    committee = new Committee(world);
    round = 0;
  }
  return ++round;
}

const signedPart = (index: number, phase: CeremonyPhase, at: number, payload: Uint8Array) =>
  signedPartOf(world, index, phase, at, payload);

type Change = (reply: CeremonyStepReply) => CeremonyStepReply;
/** A relay that changes what holder `index` said in one phase. */
const changing =
  (phase: CeremonyPhase, index: number, change: Change): Relay =>
  (current, replies) =>
    current === phase ? replies.map((reply, i) => (i + 1 === index ? change(reply) : reply)) : replies;

/** Holder 4 itself says something else in `phase`, well signed. */
const cheating = (phase: CeremonyPhase, at: number, change: (payload: Uint8Array) => Uint8Array): Relay =>
  changing(phase, 4, (reply) => ({ ...reply, part: signedPart(4, phase, at, change(reply.part.payload)) }));

/**
 * What the three honest holders make of it. Holder 4, whose part is changed, is shown its own part as it gave
 * it, so that its objection does not end the ceremony first.
 */
function honestVerdict(at: number, relay: Relay): unknown {
  const { holders } = committee;
  const fourth = holders[3]!;
  let genuine: CeremonyStepReply | undefined;
  const service = Object.assign(Object.create(fourth.service), {
    ceremonyStep: (message: { readonly parts: readonly CeremonyPart[] }) => {
      const parts = message.parts.map((part) =>
        genuine && part.holderId === fourth.id ? genuine.part : part,
      );
      genuine = fourth.service.ceremonyStep({ ...message, parts });
      return genuine;
    },
  });
  const mixed = Object.assign(Object.create(Committee.prototype) as Committee, {
    world,
    holders: [...holders.slice(0, 3), { ...fourth, service }],
  });
  try {
    mixed.ceremony(at, relay);
    return undefined;
  } catch (error) {
    return error;
  }
}

const flip = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

describe('a relay that meddles', () => {
  it('reads the shares dealt to a holder where parts are not authenticated; is refused', () => {
    // It puts its own sealing key in the place of the one that `university` made for the ceremony.
    const own = world.suite.generateSealingKey();
    const at = nextRound();
    const swap = changing('BEGIN', 4, (reply) => {
      const { commitment } = decodeBeginPayload(reply.part.payload);
      const payload = encodeBeginPayload({ commitment, sealingPublicKey: own.publicKey });
      return { ...reply, part: { ...reply.part, payload } };
    });
    let read = 0;
    const spy: Relay = (phase, replies) => {
      if (phase !== 'REVEAL') return swap(phase, replies);
      for (const share of replies.flatMap((reply) => reply.shares ?? [])) {
        if (share.toHolderId !== 'university') continue;
        const context = sealedShareContext(
          ceremonyId(world.suite, world.parsed.hash, at),
          share.fromHolderId,
          'university',
        );
        expect(world.suite.open(own.secretKey, share.sealed, context).length).toBeGreaterThan(40_000);
        read++;
      }
      return replies;
    };
    const strong = committee;
    committee = new Committee(world, { rules: { partSignature: () => {} } });
    honestVerdict(at, spy);
    committee.close();
    committee = strong;
    expect(read).toBe(3);
    expect(() => committee.ceremony(at, spy)).toThrow(coded('BAD_SIGNATURE', /holder university/));
    expect(read).toBe(3);
  });

  it.each<[string, (at: number) => Relay, string, RegExp]>([
    [
      'leaves a part out',
      () => (phase, replies) => (phase === 'BEGIN' ? replies.slice(1) : replies),
      'CEREMONY_FAILED',
      /BEGIN parts of all 4/,
    ],
    [
      'sends one part twice in the place of another',
      () => (phase, replies) => (phase === 'COMMIT_KEY' ? [replies[1]!, ...replies.slice(1)] : replies),
      'CEREMONY_FAILED',
      /COMMIT_KEY part of holder hospital is missing/,
    ],
    [
      'changes what a holder itself said',
      (at) => (phase, replies) =>
        phase === 'BEGIN'
          ? [
              { ...replies[0]!, part: signedPart(1, 'BEGIN', at, replies[1]!.part.payload) },
              ...replies.slice(1),
            ]
          : replies,
      'CEREMONY_FAILED',
      /part of this holder was altered/,
    ],
    [
      'passes off a part of another phase',
      (at) => changing('COMMIT_KEY', 2, (r) => ({ ...r, part: signedPart(2, 'BEGIN', at, r.part.payload) })),
      'BAD_SIGNATURE',
      /holder regulator/,
    ],
    [
      'passes off a part of another round',
      (at) =>
        changing('COMMIT_KEY', 2, (r) => ({
          ...r,
          part: signedPart(2, 'COMMIT_KEY', at + 1, r.part.payload),
        })),
      'BAD_SIGNATURE',
      /holder regulator/,
    ],
    [
      'exchanges sealed shares',
      () =>
        changing('REVEAL', 2, (r) => ({
          ...r,
          shares: r.shares.map((s) => ({ ...s, sealed: flip(s.sealed, 9) })),
        })),
      'CEREMONY_FAILED',
      /relayed share of holder regulator/,
    ],
    [
      'keeps a sealed share back',
      () => changing('REVEAL', 3, (r) => ({ ...r, shares: [] })),
      'CEREMONY_FAILED',
      /share dealt by holder platform is missing/,
    ],
  ])('that %s is refused', (_name, relayOf, code, message) => {
    const at = nextRound();
    expect(() => committee.ceremony(at, relayOf(at))).toThrow(coded(code, message));
  });

  it('gets no second answer for other inputs of an answered step', () => {
    const at = nextRound();
    committee.ceremony(at, (phase, replies) => {
      if (phase !== 'BEGIN') return replies;
      const request = { planHash: world.parsed.hash, round: at, phase: 'COMMIT_KEY', shares: [] };
      const { service } = committee.holders[0]!;
      service.ceremonyStep({ ...request, parts: replies.map((reply) => reply.part) });
      const other = encodeBeginPayload({
        commitment: new Uint8Array(32),
        sealingPublicKey: world.suite.generateSealingKey().publicKey,
      });
      const parts = [...replies.slice(0, 3).map((reply) => reply.part), signedPart(4, 'BEGIN', at, other)];
      expect(() => service.ceremonyStep({ ...request, parts })).toThrow(
        coded('STATEMENT_CONFLICT', /COMMIT_KEY/),
      );
      return replies;
    });
  });
});

/** Remembers another COMMIT_KEY reply than it gave. */
class RevisingStore extends HolderStore {
  revised: Uint8Array | undefined;
  override ceremonyStep(at: RoundRef, phase: CeremonyPhase): StoredStep | undefined {
    const stored = super.ceremonyStep(at, phase);
    return stored && phase === 'COMMIT_KEY' && this.revised ? { ...stored, reply: this.revised } : stored;
  }
}

describe('a holder that cheats', () => {
  it('by revealing another b than it committed to is named', () => {
    const at = nextRound();
    // Chosen after the others revealed: b4 = b* − b1 − b2 − b3 would be such a one.
    const relay = cheating('REVEAL', at, (bytes) => {
      const payload = decodeRevealPayload(bytes, 4);
      return encodeRevealPayload({ ...payload, publicPart: flip(payload.publicPart, 40) });
    });
    expect(honestVerdict(at, relay)).toEqual(
      coded('CEREMONY_FAILED', /holder university revealed another key/),
    );
  });

  it.each<[string, CeremonyPhase, Uint8Array, RegExp]>([
    [
      'an empty commitment',
      'BEGIN',
      new Uint8Array(0),
      /holder university: expected a message of kind ceremony-begin/,
    ],
    [
      'an unusable sealing key',
      'BEGIN',
      encodeBeginPayload({ commitment: new Uint8Array(32), sealingPublicKey: new Uint8Array(32) }),
      /holder university: its sealing key/,
    ],
    [
      'a cut payload',
      'COMMIT_KEY',
      encodeCommitKeyPayload(new Uint8Array(32)).subarray(0, 30),
      /holder university: /,
    ],
    [
      'openings of nothing',
      'TEST',
      encodeTestPayload([]),
      /holder university has not opened the test once for hospital/,
    ],
  ])('by sending %s is named', (_name, phase, payload, message) => {
    const at = nextRound();
    expect(
      honestVerdict(
        at,
        cheating(phase, at, () => payload),
      ),
    ).toEqual(coded('CEREMONY_FAILED', message));
  });

  it('by sealing another share than the one it published a hash of is named', () => {
    const at = nextRound();
    const ceremony = ceremonyId(world.suite, world.parsed.hash, at);
    const receivers: Uint8Array[] = [];
    const relay: Relay = (phase, replies) => {
      if (phase === 'BEGIN')
        receivers.push(...replies.map((r) => decodeBeginPayload(r.part.payload).sealingPublicKey));
      if (phase !== 'REVEAL') return replies;
      const context = sealedShareContext(ceremony, 'university', 'hospital');
      const sealed = world.suite.seal(receivers[0]!, new Uint8Array(40_992), context);
      const [, ...others] = replies[3]!.shares;
      const payload = decodeRevealPayload(replies[3]!.part.payload, 4);
      const shareDigests = [world.suite.digest(sealed), ...payload.shareDigests.slice(1)];
      const part = signedPart(4, 'REVEAL', at, encodeRevealPayload({ ...payload, shareDigests }));
      const shares = [{ fromHolderId: 'university', toHolderId: 'hospital', sealed }, ...others];
      return [...replies.slice(0, 3), { ...replies[3]!, part, shares }];
    };
    const verdict = honestVerdict(at, relay);
    expect(verdict).toEqual(coded('SHARE_INCONSISTENT', /dealt by holder university differs/));
  });

  it('by dealing a share off its polynomial, well hashed, is caught by the test openings', () => {
    committee.close();
    committee = new Committee(world, (index) =>
      index === 4 ? { openStore: (path) => new RevisingStore(path) } : {},
    );
    round = 0;
    const at = nextRound();
    const cheat = committee.holders[3]!;
    const ref = { planHash: world.parsed.hash, round: at };
    const { custody, store } = cheat.context;
    const loadCore = ({ context }: TestHolder) =>
      decodeState(
        unpack<{ core: Uint8Array }>(
          context.custody.open('ceremony-state', ref, context.store.ceremonyState(ref)!),
        ).core,
      );
    const relay: Relay = (phase, replies) => {
      if (phase !== 'COMMIT_KEY') return replies;
      const stored = unpack<{ core: Uint8Array }>(
        custody.open('ceremony-state', ref, store.ceremonyState(ref)!),
      );
      const core = decodeState(stored.core);
      const context = contextOf(core, core.commitments);
      const dealtShares = [flip(core.dealtShares[0]!, 0), ...core.dealtShares.slice(1)];
      const hashes = dealtShares.map((share, i) => shareHash(context, 4, i + 1, share));
      const publicPart = concat(core.publicPart.subarray(0, core.publicPart.length - 128), ...hashes);
      const changed = encodeState({ ...core, dealtShares, publicPart });
      store.putCeremonyState(ref, custody.seal('ceremony-state', ref, pack({ ...stored, core: changed })));
      const commitment = keyCommitment(context, 4, publicPart.subarray(32));
      const payload = encodeCommitKeyPayload(commitment);
      const part = signedPart(4, 'COMMIT_KEY', at, payload);
      const reply = { ...replies[3]!, part };
      (store as RevisingStore).revised = pack(reply);
      return [...replies.slice(0, 3), reply];
    };
    // A build without test openings would sign this key, and any opening with `hospital` would fail.
    const opens = (activeSet: number[], publicKey: Uint8Array, shares: Uint8Array[]): boolean => {
      const digits = Int32Array.from({ length: 64 }, (_, i) => i);
      const { c0, c1 } = world.bfv.encrypt(publicKey, digits);
      const partials = activeSet.map((holderIndex) =>
        world.bfv.partialDecrypt({
          share: shares[holderIndex - 1]!,
          c1Sum: c1,
          digitCount: 64,
          holderIndex,
          activeSet,
        }),
      );
      try {
        return world.bfv.open({ c0Sum: c0, partials, digitCount: 64 }).every((digit, i) => digit === i);
      } catch {
        return false;
      }
    };
    const watch: Relay = (phase, replies) => {
      if (phase === 'TEST') {
        const cores = committee.holders.map(loadCore);
        const shares = cores.map((core) => core.share);
        expect(opens([1, 2], cores[0]!.publicKey, shares)).toBe(false);
        expect(opens([2, 3], cores[0]!.publicKey, shares)).toBe(true);
      }
      return relay(phase, replies);
    };
    expect(() => committee.ceremony(at, watch)).toThrow(
      coded('CEREMONY_FAILED', /every failing set holds hospital/),
    );
    for (const { context } of committee.holders) expect(context.store.committeeKey(ref)).toBeUndefined();
    round = 5;
  });

  it('by answering a test wrongly is named', () => {
    const at = nextRound();
    const relay = cheating('TEST', at, (bytes) =>
      encodeTestPayload(decodeTestPayload(bytes).map((o) => ({ ...o, partial: flip(o.partial, 3) }))),
    );
    expect(honestVerdict(at, relay)).toEqual(coded('CEREMONY_FAILED', /every failing set holds university/));
  });
});

describe('a finished ceremony', () => {
  it('leaves nothing behind but a sealed share', () => {
    const at = nextRound();
    committee.ceremony(at);
    const ref = { planHash: world.parsed.hash, round: at };
    const { store, custody } = committee.holders[0]!.context;
    expect(store.ceremonyState(ref)).toBeUndefined();
    const { sealedShare } = store.committeeKey(ref)!;
    const share = custody.open('committee-key-share', ref, sealedShare!);
    expect(share.length).toBeGreaterThan(40_000);
    const elsewhere = () => custody.open('committee-key-share', { ...ref, round: at + 1 }, sealedShare!);
    expect(elsewhere).toThrow(coded('DECRYPTION_FAILED'));
    expect(equalBytes(share.subarray(0, 4), sealedShare!.subarray(0, 4))).toBe(false);
  });
});
