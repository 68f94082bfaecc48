/**
 * Truncated and bit-flipped messages at every call of transport `shares`, in both directions: between coordinator and key
 * holders, and between clients and coordinator. Property: whoever gets one answers with a code or as if nothing were
 * wrong with it, never otherwise; what was damaged changes no state; the round goes on and its sum is exactly that of
 * the certified cohort.
 *
 * Control: where signatures are not verified and the first answer is believed, one flipped bit moves the sum. Damage in a body that its device signed is not an attack on the others: attack-crafted.test.ts.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JoinSummary } from '../../client/agent/agent.ts';
import { loadSealer, type Sealer } from '../../client/agent/seal.ts';
import type { RoundsTransport } from '../../client/agent/transport.ts';
import { type CommitteeKey, runCeremony } from '../../coordinator/rounds/ceremonies.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import { toHex } from '../../crypto/bytes.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import { Committee } from '../../keyholder/testing.ts';
import { acceptReplySchema } from '../../protos/keyholder-messages.ts';
import { type RoundEnd, refusersOf, type Update } from './testing-attacks.ts';
import { replacing, trusting } from './testing-coalition.ts';
import {
  createAgent,
  createFederation,
  createIdentity,
  type FederationWorld,
  portOf,
  RunningCoordinator,
  servicesOf,
} from './testing-federation.ts';
import { add, minus, plain, Stage } from './testing-stage.ts';
import {
  type Damage,
  damaged,
  type HolderWireOptions,
  type Outcome,
  through,
  wirePort,
} from './testing-wire.ts';

const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  kind: fc.constantFrom('flip', 'flip', 'flip', 'cut', 'drop', 'extend'),
  bit: fc.nat(7),
});
const several = (count: number) => fc.array(damage, { minLength: count, maxLength: count });
const holder = fc.integer({ min: 1, max: 4 });
const hexOf = ({ keyId, publicKey, signatures }: CommitteeKey) => [
  toHex(keyId),
  toHex(publicKey),
  ...signatures.map(({ signature }) => toHex(signature)),
];
const sameBytes = (a: unknown, b: unknown): boolean => Buffer.from(a as Uint8Array).equals(b as Uint8Array);

it('the wire without damage changes nothing, and damage does', () => {
  const message = { deviceId: 'd', bodyDigest: Buffer.alloc(32, 1), offset: 3, holderPart: Buffer.alloc(9) };
  const { part } = through('KeyHolder', 'Open', 'request', { part: message }) as { part: object };
  expect(part).toMatchObject(message);
  fc.assert(
    fc.property(damage, fc.uint8Array({ minLength: 20, maxLength: 40 }), (what, bytes) => {
      expect(sameBytes(damaged(bytes, what), bytes)).toBe(false);
    }),
  );
});

describe('between coordinator and key holders:', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open({ transport: 'shares', inputs: 40 });
  });
  afterAll(() => stage?.close());

  const idsOf = (updates: readonly Update[]) => updates.map(({ identity }) => identity.subjectId);
  const sumOfCohort = ({ state }: RoundEnd): Int32Array =>
    plain(stage.honest.filter(({ identity }) => state.cohort!.includes(identity.subjectId)));

  const play = (
    optionsOf: (index: number) => HolderWireOptions,
    services: Partial<RoundServices> = {},
  ): Promise<RoundEnd> => {
    const ports = stage.fork().holders.map((each) => wirePort(each, optionsOf(each.index)));
    return stage.play(ports, stage.honest, { services });
  };

  /** A code; or the honest answer, where what was hit does not matter; entries are judged one by one. */
  function expectHarmless(method: string, outcome: Outcome, honest: object): void {
    if ('error' in outcome) {
      if (!isPulsefoldError(outcome.error)) throw outcome.error;
      return;
    }
    if (method === 'Accept') {
      const { accepted, rejected } = acceptReplySchema.parse(outcome.reply);
      expect(idsOf(stage.honest)).toEqual(expect.arrayContaining(accepted));
      for (const { code } of rejected) expect(code).toMatch(/^[A-Z_]+$/);
    } else if (method === 'Open')
      expect(sameBytes((outcome.reply as RoundReply).partial, (honest as RoundReply).partial)).toBe(true);
    else expect(outcome.reply).toEqual(honest);
  }
  interface RoundReply {
    readonly partial: Uint8Array;
  }

  it('damaged requests to every holder', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(several(6), async (before) => {
        const seen = new Set<string>();
        const onOutcome: HolderWireOptions['onOutcome'] = (method, outcome, honest) => {
          seen.add(method);
          expectHarmless(method, outcome, honest);
        };
        const end = await play(() => ({ before, onOutcome }));
        expect(end.sum).toEqual(plain(stage.honest));
        expect(end.state.contradicting).toBeUndefined();
        expect([...seen].sort()).toEqual(['Accept', 'Certify', 'Open']);
      }),
      { numRuns: 8 },
    );
  });

  it('damaged replies of one holder, whichever it is', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(holder, damage, async (faulty, reply) => {
        const end = await play((index) => (index === faulty ? { reply } : {}));
        expect(end.state.cohort!.length).toBeGreaterThanOrEqual(stage.honest.length - 1);
        expect(end.sum).toEqual(sumOfCohort(end));
      }),
      { numRuns: 8 },
    );
  });

  it('a flipped bit in an answer moves the sum where signatures and other answers are not looked at', async () => {
    // In the expansion sum of holder 1 that comes first in its answer.
    const reply: Damage = { at: 0.2, kind: 'flip', bit: 3 };
    const optionsOf = (index: number) => (index === 1 ? { reply, onlyMethod: 'Open' } : {});
    const { world } = stage;
    const services = {
      secagg: trusting(world.secagg),
      suite: replacing(world.suite, { verify: () => true }),
    };
    const weak = await play(optionsOf, services);
    const moved = minus(weak.sum!, plain(stage.honest)).filter((difference) => difference !== 0);
    expect(moved).toHaveLength(1);
    const end = await play(optionsOf);
    expect(end.sum).toEqual(plain(stage.honest));
    expect(refusersOf(end, 'partial', 'BAD_SIGNATURE')).toEqual(['hospital']);
  });

  it('damaged registrations, ceremonies, aborts and erasures', { timeout: 60_000 }, async () => {
    const { world } = stage;
    await fc.assert(
      fc.asyncProperty(several(8), async (before) => {
        const committee = new Committee(world);
        const seen = new Set<string>();
        const onOutcome: HolderWireOptions['onOutcome'] = (method, outcome, honest) => {
          seen.add(method);
          expectHarmless(method, outcome, honest);
        };
        const ports = committee.holders.map((each) => wirePort(each, { before, onOutcome }));
        for (const port of ports) await port.registerPlan(world.parsed.bytes, world.approvals);
        const key = await runCeremony(world.parsed, 1, ports);
        expect(key.signatures).toHaveLength(4);
        // A reason is the coordinator's to choose: a damaged one is another abort, and the first one stands.
        const quiet = committee.holders.map((each) => wirePort(each, { before }));
        for (const port of quiet) {
          const aborted = await port
            .abort(world.parsed.hash, 1, 'nobody came')
            .catch((error: unknown) => error);
          if (aborted instanceof Error) expect(aborted).toMatchObject({ code: 'STATEMENT_CONFLICT' });
          await port.erase(world.parsed.hash, 1);
        }
        for (const { context } of committee.holders)
          expect(context.store.isErased({ planHash: world.parsed.hash, round: 1 })).toBe(true);
        committee.close();
        expect([...seen].sort()).toEqual(['CeremonyStep', 'RegisterPlan']);
      }),
      { numRuns: 5 },
    );
  });

  it('a damaged reply in a ceremony makes no key, and does not stand in the way of one', {
    timeout: 60_000,
  }, async () => {
    const { world } = stage;
    await fc.assert(
      fc.asyncProperty(holder, damage, async (faulty, reply) => {
        const committee = new Committee(world);
        const ports = committee.holders.map((each) =>
          each.index === faulty ? wirePort(each, { reply }) : portOf(each),
        );
        const made = await runCeremony(world.parsed, 1, ports).catch((error: unknown) => error);
        if (made instanceof Error && !isPulsefoldError(made)) throw made;
        const key = await runCeremony(world.parsed, 1, committee.holders.map(portOf));
        if (!(made instanceof Error)) expect(hexOf(made as CommitteeKey)).toEqual(hexOf(key));
        committee.close();
      }),
      { numRuns: 8 },
    );
  });
});

describe('between clients and coordinator:', () => {
  const PEOPLE = 3;
  interface Played {
    readonly world: FederationWorld;
    readonly sum: Int32Array;
    readonly sealed: ReadonlyMap<string, Int32Array>;
    readonly cohort: readonly string[];
    readonly ends: readonly (JoinSummary | Error)[];
    readonly outcomes: ReadonlyMap<string, readonly Outcome[]>;
  }
  let world: FederationWorld;
  let base: Committee;
  let identities: Awaited<ReturnType<typeof createIdentity>>[];
  let sealer: Sealer;
  beforeAll(async () => {
    const cohort = { cohortMin: PEOPLE, cohortTarget: PEOPLE };
    world = await createFederation({ transport: 'shares', rounds: cohort });
    base = new Committee(world);
    await runCeremony(world.parsed, 1, base.holders.map(portOf));
    identities = await Promise.all(Array.from({ length: PEOPLE + 1 }, () => createIdentity(world)));
    sealer = await loadSealer();
  });
  afterAll(() => base?.close());

  interface RoundsWireOptions {
    readonly before?: readonly Damage[];
    /** Done to the first reply of every method. */
    readonly reply?: Damage;
    readonly onOutcome?: (method: string, outcome: Outcome) => void;
  }

  /** The agent's port over the damaged wire. */
  function wireRounds(inner: RoundsTransport, options: RoundsWireOptions): RoundsTransport {
    const replied = new Set<string>();
    const call = async (
      method: string,
      request: object,
      send: (message: never) => Promise<unknown>,
    ): Promise<unknown> => {
      for (const what of options.before ?? []) {
        const attempt = async () => send(through('Rounds', method, 'request', request, what) as never);
        const outcome = await attempt().then(
          (reply): Outcome => ({ reply: reply as object }),
          (error: unknown): Outcome => ({ error }),
        );
        options.onOutcome?.(method, outcome);
      }
      const reply = (await send(through('Rounds', method, 'request', request) as never)) as object;
      const what = replied.has(method) ? undefined : options.reply;
      replied.add(method);
      return through('Rounds', method, 'response', reply, what);
    };
    return {
      getPlan: () => call('GetPlan', {}, () => inner.getPlan()),
      checkIn: (request) => call('CheckIn', request, (message) => inner.checkIn(message)),
      getBlob: (request) => call('GetBlob', request, (message) => inner.getBlob(message)),
      getUploadState: (request) =>
        call('GetUploadState', request, (message) => inner.getUploadState(message)),
      withdraw: (request) => call('Withdraw', request, (message) => inner.withdraw(message)),
      putUpload: (request) => call('PutUpload', request, (message) => inner.putUpload(message)),
      getReceipt: (request) => call('GetReceipt', request, (message) => inner.getReceipt(message)),
      close: () => inner.close(),
    };
  }

  /** The last of the people joins over the damaged wire, or all of them do. */
  async function play(people: number, options: (index: number) => RoundsWireOptions): Promise<Played> {
    const committee = base.fork();
    const coordinator = new RunningCoordinator(world, servicesOf(world, committee.holders.map(portOf)));
    const sealed = new Map<string, Int32Array>();
    const outcomes = new Map<string, Outcome[]>();
    const ends = await Promise.all(
      identities.slice(0, people).map(async (identity, i) => {
        const recording: Sealer = {
          seal: (request) => {
            sealed.set(identity.subjectId, request.digits.slice());
            return sealer.seal(request);
          },
        };
        const onOutcome = (method: string, outcome: Outcome) => {
          outcomes.set(method, [...(outcomes.get(method) ?? []), outcome]);
        };
        const rounds = wireRounds(coordinator.connect(identity), { ...options(i), onOutcome });
        const changes = { sealer: recording, timing: { checkInWaitMs: 50 } };
        const agent = await createAgent(world, identity, rounds, changes);
        return await agent.join().catch((error: Error) => error);
      }),
    );
    await coordinator.ended;
    const { store } = coordinator.services;
    const [sum, cohort] = store.read(
      'end',
      (db) =>
        [
          repository.getSum(db, world.parsed.hashHex, 1)!,
          repository.storedCohort(repository.getRound(db, world.parsed.hashHex, 1)!.state)!,
        ] as const,
    );
    const digits = new Int32Array(sum.digits.slice().buffer);
    await coordinator.stop();
    committee.close();
    return { world, sum: digits, sealed, cohort, ends, outcomes };
  }
  const cohortSum = ({ cohort, sealed }: Played) => add(cohort.map((id) => sealed.get(id)!));

  it('damaged requests before every call of every client', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(several(4), async (before) => {
        const played = await play(PEOPLE, () => ({ before }));
        for (const end of played.ends) expect(end).toMatchObject({ rounds: [{ outcome: 'certified' }] });
        expect(played.cohort).toHaveLength(PEOPLE);
        expect(played.sum).toEqual(cohortSum(played));
        expect([...played.outcomes.keys()]).toEqual(
          expect.arrayContaining(['CheckIn', 'PutUpload', 'GetReceipt']),
        );
        for (const outcomes of played.outcomes.values())
          for (const outcome of outcomes)
            if ('error' in outcome && !isPulsefoldError(outcome.error)) throw outcome.error;
      }),
      { numRuns: 4 },
    );
  });

  it('damaged replies to one client: it goes on or ends with a code, and the others are not disturbed', {
    timeout: 60_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(damage, async (reply) => {
        const played = await play(PEOPLE + 1, (index) => (index === PEOPLE ? { reply } : {}));
        expect(played.cohort.length).toBeGreaterThanOrEqual(PEOPLE);
        expect(played.sum).toEqual(cohortSum(played));
        const last = played.ends.at(-1);
        if (last instanceof Error && !isPulsefoldError(last)) throw last;
      }),
      { numRuns: 4 },
    );
  });
});
