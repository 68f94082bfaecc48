/**
 * What must hold after a holder was killed at a point; the fast suite runs a few points, the slow one all.
 *
 * For: crash.test.ts and crash.slow.test.ts only.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type CeremonyPart,
  type CeremonyStepReply,
  phaseBefore,
  phasesOf,
  type Transport,
} from '../protos/keyholder-messages.ts';
import type { HolderPoint } from './context.ts';
import {
  Committee,
  type CommitteeKey,
  createWorld,
  startHolder,
  type TestHolder,
  type World,
} from './testing.ts';
import { type CrashAction, crashAt } from './testing-crash.ts';
import {
  acceptRequest,
  bindingOf,
  certifyAt,
  certifyRequest,
  createDevices,
  createUpload,
  openAt,
  openHeader,
  openMessages,
  openSum,
  plainSum,
  type Upload,
} from './testing-uploads.ts';

export interface CrashPoints {
  readonly accept: readonly HolderPoint[];
  readonly certify: readonly HolderPoint[];
  readonly open: readonly HolderPoint[];
  readonly ceremony: readonly HolderPoint[];
}

export function crashSuite(transport: Transport, points: CrashPoints): void {
  describe(`transport ${transport}`, () => crashSuiteOf(transport, points));
}

function crashSuiteOf(transport: Transport, points: CrashPoints): void {
  const activeSet = transport === 'bfv' ? [1, 2] : [1, 2, 3];
  let world: World;
  let base: Committee;
  let key: CommitteeKey;
  let uploads: Upload[];
  const forks: Committee[] = [];
  const started: TestHolder[] = [];

  beforeAll(async () => {
    world = await createWorld({ transport });
    base = new Committee(world);
    key = base.ceremony(1);
    const devices = await createDevices(world, 3);
    uploads = devices.map((device, i) => createUpload(world, device, binding(), key.publicKey, i));
  });
  afterAll(() => {
    for (const holder of started) holder.close();
    for (const committee of [base, ...forks]) committee.close();
  });

  const binding = () => bindingOf(world, 1, key.keyId);
  const at = () => ({ planHash: world.parsed.hash, round: 1 });
  function fork(): Committee {
    const committee = base.fork();
    forks.push(committee);
    return committee;
  }
  /** The first holder, killed at `point` in another process and started again. */
  function killAndRestart(holder: TestHolder, point: HolderPoint, action: CrashAction, request: unknown) {
    holder.close();
    crashAt(world, holder, point, action, request);
    const restarted = startHolder(world, holder.index, { directory: holder.directory });
    started.push(restarted);
    return restarted;
  }
  /** Stored before the point was reached? Then the reply must be what is stored. */
  const isStored = (point: HolderPoint): boolean => point.endsWith(':stored');

  describe.each(points.accept)('killed in Accept at %s', (point) => {
    it('has all of the batch or none, and takes it again', async () => {
      const committee = fork();
      const request = acceptRequest(
        world,
        1,
        uploads.map((upload) => upload.entry),
      );
      const { service, context } = killAndRestart(committee.holders[0]!, point, 'accept', request);
      committee.holders[0] = started.at(-1)!;
      expect(context.store.entries.count(at())).toBe(isStored(point) ? uploads.length : 0);
      const reply = await service.accept(request);
      expect(reply).toEqual({ accepted: uploads.map(({ device }) => device.id), rejected: [] });
      const signatures = await certifyAt(world, committee.holders.slice(0, 3), binding(), uploads);
      const answers = await openAt(world, committee.holders, binding(), uploads, signatures, activeSet);
      expect(openSum(world, uploads, answers)).toEqual(plainSum(uploads));
    });
  });

  describe.each(points.certify)('killed in Certify at %s', (point) => {
    it('signs the same statement afterwards, and no other', async () => {
      const committee = fork();
      const holder = committee.holders[0]!;
      await holder.service.accept(
        acceptRequest(
          world,
          1,
          uploads.map((upload) => upload.entry),
        ),
      );
      const request = certifyRequest(world, binding(), uploads);
      const { service, context } = killAndRestart(holder, point, 'certify', request);
      committee.holders[0] = started.at(-1)!;
      const before = context.store.statement(at());
      expect(before !== undefined).toBe(isStored(point));
      const reply = service.certify(request);
      if (before) expect(reply.signature).toEqual(before.signature);
      expect(service.certify(request)).toEqual(reply);
      const abort = { ...at(), reason: 'after the crash' };
      expect(() => service.abort(abort)).toThrow(expect.objectContaining({ code: 'STATEMENT_CONFLICT' }));
    });
  });

  describe.each(points.open)('killed in Open at %s', (point) => {
    it('gives one answer, and the sum is exact', async () => {
      const committee = fork();
      const signatures = await certifyAt(world, committee.holders.slice(0, 3), binding(), uploads);
      const header = openHeader(world, binding(), uploads, { signatures, activeSet });
      const messages: unknown[] = [];
      for await (const message of openMessages(header, uploads)) messages.push(message);
      const { service, context } = killAndRestart(committee.holders[0]!, point, 'open', messages);
      committee.holders[0] = started.at(-1)!;
      const before = context.store.partial(at(), activeSet);
      expect(before !== undefined).toBe(isStored(point));
      const first = await service.open(openMessages(header, uploads));
      if (before) expect(first.partial).toEqual(before.partial);
      expect(await service.open(openMessages(header, uploads))).toEqual(first);
      const others = await openAt(world, committee.holders, binding(), uploads, signatures, activeSet);
      expect(others[0]).toEqual(first);
      expect(openSum(world, uploads, others)).toEqual(plainSum(uploads));
    });
  });

  const lastPhase = phasesOf(transport).at(-1)!;
  const killed = points.ceremony.flatMap((point) =>
    (['BEGIN', lastPhase] as const).map((phase) => ({ point, phase })),
  );
  describe.each(killed)('killed in CeremonyStep $phase at $point', ({ point, phase }) => {
    it('answers the step once, and the ceremony ends with one key', () => {
      const committee = fork();
      const request = { planHash: world.parsed.hash, round: 2, phase, shares: [] };
      let first: CeremonyStepReply | undefined;
      const kill = (parts: readonly CeremonyPart[]) => {
        killAndRestart(committee.holders[0]!, point, 'ceremonyStep', { ...request, parts });
        committee.holders[0] = started.at(-1)!;
        first = committee.holders[0]!.service.ceremonyStep({ ...request, parts });
      };
      if (phase === 'BEGIN') kill([]);
      const before = phaseBefore(transport, phase);
      const finished = committee.ceremony(2, (current, replies) => {
        if (current === before) kill(replies.map((reply) => reply.part));
        if (current === phase) expect(replies[0]).toEqual(first);
        return replies;
      });
      expect(first).toBeDefined();
      expect(finished.signatures).toHaveLength(4);
      if (transport === 'shares') expect(finished.publicKey.length).toBe(128);
    });
  });
}
