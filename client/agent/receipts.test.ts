import { describe, expect, it } from 'vitest';
import { fromHex, toHex, utf8 } from '../../crypto/bytes.ts';
import { leafHash, MerkleTree } from '../../crypto/log/merkle.ts';
import { randomBytes } from '../../crypto/random.ts';
import { encodeReceipt, parseReceipt, type Receipt } from '../../protos/receipt.ts';
import { abortStatement, entryLeaf, receiptStatement } from '../../protos/statements.ts';
import { acceptPlan } from './invitation.ts';
import { verifyReceipt } from './receipts.ts';
import { MemoryClientStore } from './store.ts';
import { RandomSealer } from './testing.ts';
import { agentOf } from './testing-agent.ts';
import { FakeCoordinator, hexed } from './testing-coordinator.ts';
import type { FakeRound } from './testing-fake-round.ts';

/** A device whose upload of round 1 is acknowledged and undecided. */
async function uploaded(fate: FakeRound['fate']) {
  const coordinator = await FakeCoordinator.create();
  coordinator.openRound(1, { fate: fate === 'late' ? 'late' : 'open' });
  const store = new MemoryClientStore();
  const agent = agentOf(coordinator, { store, sealer: new RandomSealer(1000) });
  await agent.join();
  coordinator.rounds.get(1)!.fate = fate;
  return { coordinator, agent, store };
}

type World = Awaited<ReturnType<typeof uploaded>>;

async function budgetOf({ store }: World): Promise<{ spent: number; reserved: number; undecided: number }> {
  const { budget, undecided } = await store.loadState();
  const { spent, reservations } = budget.person!;
  const reserved = Object.values(reservations).reduce((sum, charge) => sum + charge, 0);
  return { spent, reserved, undecided: undecided.length };
}

describe('what an honest receipt does to the budget', () => {
  it('nothing while the round is undecided: the charge stands', async () => {
    const world = await uploaded('open');
    const before = await budgetOf(world);
    expect(before.reserved).toBeGreaterThan(0);
    await world.agent.settle();
    expect(await budgetOf(world)).toEqual({ ...before, undecided: 1 });
  });

  it.each([
    ['certified', 'spent'],
    ['aborted', 'free'],
    // The bytes have left: a re-randomised copy may have been certified under another name.
    ['late', 'held'],
    ['rejected', 'held'],
  ] as const)('%s → %s', async (fate, state) => {
    const world = await uploaded(fate);
    const { reserved } = await budgetOf(world);
    expect(reserved).toBeGreaterThan(0);
    await world.agent.settle();
    const after = await budgetOf(world);
    const spent = state === 'spent' ? reserved : 0;
    expect(after).toEqual({ spent, reserved: state === 'held' ? reserved : 0, undecided: 0 });
    expect(world.store.receipts.size).toBe(1);
  });

  it('charges a larger cohort less, never more than was reserved', async () => {
    const world = await uploaded('certified');
    const { coordinator } = world;
    const statement = coordinator.statement(1);
    const own = leafHash(entryLeaf(statement));
    const leaves = [own, ...Array.from({ length: 5 }, (_, i) => leafHash(utf8(`other ${i}`)))];
    coordinator.on.getReceipt = () =>
      coordinator.signReceipt({
        ...coordinator.receiptOf(1),
        certificate: coordinator.certificate(statement, leaves),
        inclusion: {
          index: 0,
          size: 6,
          proof: MerkleTree.fromLeafHashes(leaves).inclusionProof(0).map(toHex),
        },
      });
    const { reserved } = await budgetOf(world);
    await world.agent.settle();
    const { spent } = await budgetOf(world);
    expect(spent).toBeGreaterThan(0);
    // γ = 1/3: 4 honest shares instead of 2.
    expect(spent).toBeLessThan(reserved * 0.6);
  });
});

type Forge = (world: World, honest: Receipt) => Receipt;

const withCertificate = (receipt: Receipt, changes: object): Receipt => ({
  ...receipt,
  certificate: { ...receipt.certificate!, ...changes },
});

/** Fate that the device's upload really has, and the receipt it is shown instead. */
const forgeries: [string, FakeRound['fate'], string, Forge][] = [
  [
    'an abort with only two holder signatures',
    'aborted',
    'QUORUM_NOT_REACHED',
    (_, honest) => ({
      ...honest,
      abort: { ...honest.abort!, signatures: honest.abort!.signatures.slice(0, 2) },
    }),
  ],
  [
    'an abort where one holder is counted three times',
    'aborted',
    'QUORUM_NOT_REACHED',
    (_, honest) => ({
      ...honest,
      abort: { ...honest.abort!, signatures: [0, 0, 0].map((i) => honest.abort!.signatures[i]!) },
    }),
  ],
  [
    'an abort of another round',
    'aborted',
    'QUORUM_NOT_REACHED',
    ({ coordinator }, honest) => {
      const statement = abortStatement({
        planHash: coordinator.parsed.hash,
        round: 2,
        reason: honest.abort!.reason,
      });
      return { ...honest, abort: { ...honest.abort!, signatures: hexed(coordinator.signAll(statement)) } };
    },
  ],
  [
    'an abort for another reason than was signed',
    'aborted',
    'QUORUM_NOT_REACHED',
    (_, honest) => ({
      ...honest,
      abort: { ...honest.abort!, reason: 'another' },
    }),
  ],
  [
    'a certificate passed off as an abort',
    'certified',
    'QUORUM_NOT_REACHED',
    ({ coordinator }, honest) => {
      const { certificate, inclusion: _, ...rest } = honest;
      void coordinator;
      return { ...rest, outcome: 'aborted', abort: { reason: 'x', signatures: certificate!.signatures } };
    },
  ],
  [
    'a certificate with two holder signatures',
    'certified',
    'QUORUM_NOT_REACHED',
    (_, honest) => withCertificate(honest, { signatures: honest.certificate!.signatures.slice(0, 2) }),
  ],
  [
    'a certificate of another model',
    'certified',
    'CERTIFICATE_INVALID',
    ({ coordinator }, honest) => {
      const statement = { ...coordinator.statement(1), modelHash: randomBytes(32) };
      const leaves = [randomBytes(32), randomBytes(32), randomBytes(32)];
      return { ...honest, certificate: coordinator.certificate(statement, leaves) };
    },
  ],
  [
    'a cohort below the minimum of the plan',
    'certified',
    'CERTIFICATE_INVALID',
    ({ coordinator }, honest) => {
      const leaves = [randomBytes(32), randomBytes(32)];
      return { ...honest, certificate: coordinator.certificate(coordinator.statement(1), leaves) };
    },
  ],
  [
    'an inclusion proof of somebody else',
    'certified',
    'PROOF_INVALID',
    (_, honest) => ({
      ...honest,
      inclusion: { ...honest.inclusion!, index: 0 },
    }),
  ],
  [
    'an inclusion proof in a smaller tree',
    'certified',
    'PROOF_INVALID',
    (_, honest) => ({
      ...honest,
      inclusion: { ...honest.inclusion!, size: 2 },
    }),
  ],
  [
    '"rejected" although the cohort holds it',
    'certified',
    'PROOF_INVALID',
    (world, honest) => lie(world, honest, true),
  ],
  [
    '"rejected" with leaves that are not the cohort',
    'certified',
    'PROOF_INVALID',
    (world, honest) => lie(world, honest, false),
  ],
  [
    'a receipt of another digest',
    'certified',
    'WRONG_ROUND',
    (_, honest) => ({ ...honest, digest: '0'.repeat(64) }),
  ],
  [
    'a receipt of another device',
    'certified',
    'WRONG_ROUND',
    (_, honest) => ({ ...honest, deviceId: '0'.repeat(32) }),
  ],
  ['a receipt of another round', 'certified', 'WRONG_ROUND', (_, honest) => ({ ...honest, round: 2 })],
  [
    'a receipt under another pseudonym',
    'certified',
    'WRONG_ROUND',
    (_, honest) => ({ ...honest, pseudonym: '0'.repeat(64) }),
  ],
];

/** The cohort holds the device, the receipt says it does not: with all leaves, or with its own exchanged. */
function lie({ coordinator }: World, honest: Receipt, whole: boolean): Receipt {
  const statement = coordinator.statement(1);
  const own = leafHash(entryLeaf(statement));
  const leaves = [own, randomBytes(32), randomBytes(32)];
  const { inclusion: _, ...rest } = honest;
  const shown = whole ? leaves : [randomBytes(32), ...leaves.slice(1)];
  return {
    ...rest,
    outcome: 'rejected',
    certificate: coordinator.certificate(statement, leaves),
    exclusion: { leafHashes: shown.map(toHex) },
  };
}

describe('forged receipts leave the charge standing', () => {
  it.each(forgeries)('%s', async (_name, fate, code, forge) => {
    const world = await uploaded(fate);
    const { coordinator, agent } = world;
    const before = await budgetOf(world);
    coordinator.on.getReceipt = () => coordinator.signReceipt(forge(world, coordinator.receiptOf(1)));
    await agent.settle();
    expect(await budgetOf(world)).toEqual({ ...before, undecided: 1 });
    expect(before.reserved).toBeGreaterThan(0);
    expect((await agent.join()).rounds).toMatchObject([{ outcome: 'undecided', code }]);
    // The honest receipt, later, settles the very same upload: the refusal above was the forgery's doing.
    delete coordinator.on.getReceipt;
    await agent.settle();
    expect(await budgetOf(world)).toMatchObject({ reserved: 0, undecided: 0 });
  });

  it('a receipt that the coordinator of the plan did not sign', async () => {
    const world = await uploaded('aborted');
    const { coordinator, agent } = world;
    const other = coordinator.suite.generateSigningKey();
    coordinator.on.getReceipt = () => coordinator.signReceipt(coordinator.receiptOf(1), other);
    await agent.settle();
    expect((await budgetOf(world)).reserved).toBeGreaterThan(0);
    delete coordinator.on.getReceipt;
    await agent.settle();
    expect((await budgetOf(world)).reserved).toBe(0);
  });

  it.each(['late', 'rejected'] as const)(
    '"%s" without the leaves: accepted, and charged for good',
    async (outcome) => {
      const world = await uploaded('open');
      const { coordinator, agent } = world;
      const before = await budgetOf(world);
      coordinator.rounds.get(1)!.fate = 'rejected';
      coordinator.on.getReceipt = () => {
        const { exclusion: _, ...rest } = coordinator.receiptOf(1);
        return coordinator.signReceipt({ ...rest, outcome });
      };
      await agent.settle();
      expect(await budgetOf(world)).toEqual({ ...before, undecided: 0 });
      expect((await agent.join()).rounds).toMatchObject([{ outcome }]);
    },
  );
});

describe('the bytes of a receipt', () => {
  const base = {
    version: 1 as const,
    planHash: '1'.repeat(64),
    round: 1,
    deviceId: '2'.repeat(32),
    digest: '3'.repeat(64),
    pseudonym: '4'.repeat(64),
  };
  const late: Receipt = { ...base, outcome: 'late', charge: { order: 7, amount: '0.25' } };

  it('survive a round trip and have one form', () => {
    const bytes = encodeReceipt(late);
    expect(parseReceipt(bytes)).toEqual(late);
    expect(() => parseReceipt(new Uint8Array([...bytes, 0x20]))).toThrow(/canonical/);
  });

  it.each([
    ['a field too many', { ...late, extra: 1 }],
    ['a certified receipt without certificate', { ...base, outcome: 'certified' }],
    ['an aborted receipt without abort', { ...base, outcome: 'aborted' }],
    ['certificate and abort at once', { ...base, outcome: 'late', abort: { reason: '', signatures: [] } }],
    ['an unknown outcome', { ...base, outcome: 'lost' }],
    ['a round of 0', { ...late, round: 0 }],
  ])('%s is refused', (_name, value) => {
    expect(() => parseReceipt(utf8(canonical(value)))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_MESSAGE' }),
    );
  });

  it('are what the coordinator signs, as verifyReceipt checks on its own', async () => {
    const world = await uploaded('certified');
    const { coordinator } = world;
    const session = acceptPlan(
      {
        plan: coordinator.parsed.bytes,
        approvals: coordinator.approvals,
        coordinatorPublicKey: coordinator.coordinatorKey.publicKey,
      },
      { policy: coordinator.policy, pins: coordinator.pins, suite: 'intl' },
    );
    const { receipt, signature } = coordinator.signReceipt(coordinator.receiptOf(1));
    const entry = {
      statement: coordinator.statement(1),
      signature: coordinator.rounds.get(1)!.upload!.header.signature,
      certificate: coordinator.identity.certificate,
      pseudonym: coordinator.checkIns.at(-1)!.pseudonym,
    };
    expect(verifyReceipt(session, entry, receipt, signature)).toMatchObject({
      effect: 'charged',
      cohortCount: 3,
    });
    const key = fromHex(coordinator.parsed.plan.coordinatorPublicKey);
    expect(coordinator.suite.verify(key, receiptStatement(receipt), signature)).toBe(true);
    // A quorum that was found once is not looked for again; one that differs in a byte is.
    const honest = coordinator.receiptOf(1);
    const { certificate } = honest;
    const flipped = (text: string) => (text[0] === '0' ? '1' : '0') + text.slice(1);
    const altered = [
      { signatures: certificate!.signatures.map((one) => ({ ...one, signature: flipped(one.signature) })) },
      { cohortRoot: flipped(certificate!.cohortRoot) },
    ];
    for (const change of altered) {
      const forged = coordinator.signReceipt(withCertificate(honest, change));
      const verify = () => verifyReceipt(session, entry, forged.receipt, forged.signature);
      expect(verify).toThrow(expect.objectContaining({ code: 'QUORUM_NOT_REACHED' }));
    }
    expect(verifyReceipt(session, entry, receipt, signature).effect).toBe('charged');
  });
});

const canonical = (value: object): string => {
  const sorted = Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify(sorted, (_, item) =>
    item && typeof item === 'object' && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item as object).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
};
