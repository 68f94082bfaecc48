/** Goal: a batch takes exactly the uploads it may take, each once, whatever else is in it. */
import { beforeEach, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { openMemoryStore } from '../storage/sqlite-store.ts';
import type { ActiveRound } from './active-round.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';
import { acknowledgeUploads } from './upload-batch.ts';
import { bodyPlacesOf, holderPartsOf } from './upload-bytes.ts';
import { WITHDRAWAL_MIGRATIONS } from './withdrawals.ts';

const at = { planHex: 'a'.repeat(64), round: 1 };
const parsed = { hashHex: at.planHex, plan: { privacy: null } } as ParsedPlan;
const [BODY, HOLDER] = [8, 4];
const id = (i: number) => `device-${i}`;

let store: ReturnType<typeof openMemoryStore>;
let noted: string[];
let told: string[];
let services: RoundServices;
let active: ActiveRound;

beforeEach(() => {
  store = openMemoryStore();
  store.migrate('rounds', repository.ROUNDS_MIGRATIONS);
  store.migrate('withdrawals', WITHDRAWAL_MIGRATIONS);
  store.transaction('test', (db) => {
    const hashes = { config_hash: 'c', model_hash: 'm', committee_key_id: 'k', config: new Uint8Array(1) };
    repository.insertRound(db, at.planHex, { round: 1, phase: 'collecting', state: '{}', ...hashes });
    const candidates = [1, 2, 3, 4].map((i) => ({ deviceId: id(i), pseudonym: `p${i}` }));
    repository.insertInvitations(db, at.planHex, 1, candidates);
  });
  services = { store, secagg: { sizes: () => ({ body: BODY, holderPart: HOLDER }) } } as never;
  [noted, told] = [[], []];
  active = {
    at,
    parsed,
    noteUploads: ({ deviceIds }: { deviceIds: string[] }, isTaken: (i: number) => boolean) =>
      noted.push(...deviceIds.filter((_, i) => isTaken(i))),
    notify: ({ deviceIds }: { deviceIds: string[] }) => told.push(...deviceIds),
  } as never;
});

/** Uploads that stand at `position` of segment 0; the digest of device i is all `mark + i`. */
function send(devices: readonly number[], { mark = 100, position = 0 } = {}) {
  const hashes = (offset: number) =>
    Uint8Array.from({ length: 32 * devices.length }, (_, k) => offset + devices[k >> 5]!);
  const place = { segment: 0, position, length: devices.length * (BODY + HOLDER) };
  const uploads = { deviceIds: devices.map(id), digests: hashes(mark), bodyDigests: hashes(10), place };
  return acknowledgeUploads(services, active, { ...uploads, leaves: hashes(50) });
}

it('writes one row and one place for each upload', async () => {
  expect(await send([2, 1], { position: 24 })).toEqual(['acknowledged', 'acknowledged']);
  store.read('test', (db) => {
    expect(repository.acknowledgedDevices(db, at.planHex, 1)).toEqual([id(1), id(2)]);
    expect(repository.getUpload(db, at.planHex, 1, id(2))).toMatchObject({
      digest: toHex(new Uint8Array(32).fill(102)),
      body_digest: toHex(new Uint8Array(32).fill(12)),
      body_bytes: BODY,
      holder_bytes: HOLDER,
    });
    const bodies = bodyPlacesOf(db, at, [id(1), id(2)]);
    const body = (position: number) => [{ segment: 0, position, length: BODY }];
    expect(bodies.map(({ places }) => places)).toEqual([body(36), body(24)]);
    const read: number[] = [];
    const spool = { read: (_: unknown, { position }: { position: number }) => read.push(position) };
    holderPartsOf(spool as never, db, at, [id(1)]);
    expect(read).toEqual([36 + BODY]);
  });
  expect(told).toEqual([id(2), id(1)]);
});

it('takes a repeat, and refuses a second digest, a stranger and whoever has withdrawn, alone', async () => {
  await send([1, 2]);
  store.transaction('test', (db) =>
    db.run("INSERT INTO withdrawals VALUES (?, '*', '', x'', x'', x'', NULL)", id(4)),
  );
  [noted, told] = [[], []];
  const mixed = await send([1, 3, 4, 9], { position: 24 });
  expect(mixed).toEqual(['acknowledged', 'acknowledged', 'withdrawn', 'not-invited']);
  expect(told).toEqual([id(1), id(3)]);
  expect(await send([2, 3], { mark: 7, position: 72 })).toEqual(['second-digest', 'second-digest']);
  expect(noted).toEqual([id(1), id(3)]);
  store.read('test', (db) => {
    expect(repository.acknowledgedDevices(db, at.planHex, 1)).toEqual([1, 2, 3].map(id));
    const positions = [1, 2, 3].map((i) =>
      repository.chunksOf(db, at.planHex, 1, id(i)).map(({ position }) => position),
    );
    expect(positions).toEqual([[0], [12], [36]]);
    for (const i of [4, 9]) expect(repository.chunksOf(db, at.planHex, 1, id(i))).toEqual([]);
  });
});

it('takes nothing once the round does not collect, and no upload of another size', async () => {
  const place = { segment: 0, position: 0, length: BODY };
  const hashes = new Uint8Array(32);
  const short = { deviceIds: [id(1)], digests: hashes, bodyDigests: hashes, leaves: hashes, place };
  await expect(acknowledgeUploads(services, active, short)).rejects.toMatchObject({
    code: 'VECTOR_LENGTH_MISMATCH',
  });
  store.transaction('test', (db) => db.run("UPDATE rounds SET phase = 'accepting'"));
  expect(await send([1])).toEqual(['late']);
  expect(store.read('test', (db) => repository.uploadsAmong(db, at.planHex, 1, [id(1)]))).toEqual([]);
  expect(noted).toEqual([]);
});
