/**
 * What must hold after a holder was killed at a point; the fast suite runs two points, the slow one all.
 *
 * For: crash.test.ts and crash.slow.test.ts only.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HolderPoint } from './context.ts';
import {
  Committee,
  type CommitteeKey,
  createWorld,
  startHolder,
  type TestHolder,
  type World,
} from './testing.ts';
import { crashAt } from './testing-crash.ts';
import {
  acceptRequest,
  bindingOf,
  certifyAt,
  certifyRequest,
  createDevices,
  createUpload,
  openHeader,
  openMessages,
  openSum,
  plainSum,
  type Upload,
} from './testing-uploads.ts';

export interface CrashPoints {
  readonly certify: readonly HolderPoint[];
  readonly open: readonly HolderPoint[];
  readonly ceremony: readonly HolderPoint[];
}

export function crashSuite(points: CrashPoints): void {
  let world: World;
  let base: Committee;
  let key: CommitteeKey;
  let uploads: Upload[];
  const forks: Committee[] = [];
  const started: TestHolder[] = [];

  beforeAll(async () => {
    world = await createWorld();
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
  function killAndRestart(
    holder: TestHolder,
    point: HolderPoint,
    action: 'certify' | 'open' | 'ceremonyStep',
    request: unknown,
  ) {
    holder.close();
    crashAt(world, holder, point, action, request);
    const restarted = startHolder(world, holder.index, { directory: holder.directory });
    started.push(restarted);
    return restarted;
  }
  /** Stored before the point was reached? Then the reply must be what is stored. */
  const isStored = (point: HolderPoint): boolean => point.endsWith(':stored');

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
    it('gives one partial decryption, and the sum is exact', async () => {
      const committee = fork();
      const signatures = await certifyAt(world, committee.holders.slice(0, 3), binding(), uploads);
      const header = openHeader(world, binding(), uploads, { signatures, activeSet: [1, 2] });
      const messages: unknown[] = [];
      for await (const message of openMessages(header, uploads)) messages.push(message);
      const { service, context } = killAndRestart(committee.holders[0]!, point, 'open', messages);
      committee.holders[0] = started.at(-1)!;
      const before = context.store.partial(at(), [1, 2]);
      expect(before !== undefined).toBe(isStored(point));
      const first = await service.open(openMessages(header, uploads));
      if (before) expect(first.partial).toEqual(before.partial);
      expect(await service.open(openMessages(header, uploads))).toEqual(first);
      const second = await committee.holders[1]!.service.open(openMessages(header, uploads));
      expect(openSum(world, uploads, [first, second])).toEqual(plainSum(uploads));
    });
  });

  describe.each(points.ceremony)('killed in CeremonyStep at %s', (point) => {
    it('answers the step once, and the ceremony ends with one key', () => {
      const committee = fork();
      const begin = { planHash: world.parsed.hash, round: 2, phase: 'BEGIN', parts: [], shares: [] };
      killAndRestart(committee.holders[0]!, point, 'ceremonyStep', begin);
      committee.holders[0] = started.at(-1)!;
      const first = committee.holders[0]!.service.ceremonyStep(begin);
      const finished = committee.ceremony(2, (phase, replies) => {
        if (phase === 'BEGIN') expect(replies[0]).toEqual(first);
        return replies;
      });
      expect(finished.signatures).toHaveLength(4);
    });
  });
}
