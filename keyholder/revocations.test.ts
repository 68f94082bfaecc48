import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { signRevocationList } from '../crypto/identity/revocation.ts';
import { RevocationCache } from '../protos/transport/revocation-cache.ts';
import { createWorld, START_MS, type World } from './testing.ts';
import { createDevice, type Device } from './testing-uploads.ts';

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const HOUR_MS = 3_600_000;

let world: World;
let registrar: Device;
let directory: string;
beforeAll(async () => {
  world = await createWorld();
  registrar = await createDevice(world, { role: 'registrar' });
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-revocations-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const serial = 'ab'.repeat(16);
function listOf(
  number: number,
  serials: string[] = [],
  issuedAtMs = START_MS,
  signer: Device = registrar,
): Uint8Array {
  const content = { number, issuedAtMs, nextUpdateMs: issuedAtMs + HOUR_MS, serials };
  const { certificate, signing } = signer;
  return signRevocationList(content, { suite: 'intl', secretKey: signing.secretKey, certificate });
}

let files = 0;
function cache(fetchList: () => unknown, path = join(directory, `list-${files++}`)) {
  const nowMs = () => START_MS;
  return new RevocationCache({
    path,
    registrarCaDer: world.caDer,
    listAgeMsMax: HOUR_MS,
    nowMs,
    fetchList: async () => fetchList(),
  });
}

describe('a revocation list', () => {
  it('that is missing or too old makes acceptance fail closed', async () => {
    const list = cache(() => ({ list: listOf(1) }));
    expect(() => list.requireFresh(START_MS)).toThrow(coded('UNAVAILABLE', /no revocation list/));
    await list.refresh();
    expect(() => list.requireFresh(START_MS + HOUR_MS)).not.toThrow();
    expect(() => list.requireFresh(START_MS + HOUR_MS + 1)).toThrow(coded('UNAVAILABLE', /too old/));
  });

  it('goes forward only: a revocation is not undone by an older list', async () => {
    let sent = listOf(2, [serial]);
    const path = join(directory, 'forward');
    const list = cache(() => ({ list: sent }), path);
    await list.refresh();
    expect(list.isRevoked(serial)).toBe(true);
    for (const older of [listOf(1), listOf(2, [], START_MS - 1)]) {
      sent = older;
      await expect(list.refresh()).rejects.toThrow(coded('CERTIFICATE_INVALID', /older/));
      expect(list.isRevoked(serial)).toBe(true);
    }
    // Nor by a restart.
    const restarted = cache(() => ({ list: sent }), path);
    expect(restarted.isRevoked(serial)).toBe(true);
    await expect(restarted.refresh()).rejects.toThrow(coded('CERTIFICATE_INVALID'));
  });

  it('counts only when the registrar signed it', async () => {
    const coordinator = await createDevice(world, { role: 'coordinator' });
    const signedByCoordinator = cache(() => ({ list: listOf(9, [], START_MS, coordinator) }));
    await expect(signedByCoordinator.refresh()).rejects.toThrow(coded('WRONG_ROLE'));
    const bent = listOf(9);
    bent[bent.length - 1]! ^= 1;
    await expect(cache(() => ({ list: bent })).refresh()).rejects.toThrow(coded('BAD_SIGNATURE'));
    for (const reply of [null, {}, { list: 'x' }, { list: new Uint8Array(0) }, { list: new Uint8Array(100) }])
      await expect(cache(() => reply).refresh()).rejects.toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(MALFORMED_MESSAGE|FIELD_OUT_OF_RANGE)$/) }),
      );
  });

  it('that was damaged on disk is as good as none', () => {
    const path = join(directory, 'damaged');
    writeFileSync(path, 'not a list');
    expect(() => cache(() => null, path).requireFresh(START_MS)).toThrow(coded('UNAVAILABLE'));
  });

  it('is asked for again soon while there is none', async () => {
    vi.useFakeTimers();
    try {
      let calls = 0;
      const errors: unknown[] = [];
      const list = cache(() => {
        if (++calls < 3) throw new Error('down');
        return { list: listOf(1) };
      });
      await list.start(60_000, (error) => errors.push(error));
      await vi.advanceTimersByTimeAsync(2500);
      expect([calls, errors.length, list.number]).toEqual([3, 2, 1]);
      await vi.advanceTimersByTimeAsync(30_000);
      expect(calls).toBe(3);
      list.stop();
      await vi.advanceTimersByTimeAsync(120_000);
      expect(calls).toBe(3);
    } finally {
      vi.useRealTimers();
    }
  });
});
