/**
 * Attacks on the committee key, end to end: a coordinator that hands clients a key of its own, and a holder that
 * cheats in the ceremony that the coordinator relays. See attack-suite.test.ts for where every attack is tested.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommitteeKey, runCeremony } from '../../coordinator/rounds/ceremonies.ts';
import type { CeremonyReply, HolderPort } from '../../coordinator/rounds/holder-port.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import { ROUNDS_MIGRATIONS } from '../../coordinator/rounds/repository.ts';
import { uploadParts } from '../../coordinator/rounds/upload-bytes.ts';
import { openMemoryStore } from '../../coordinator/storage/sqlite-store.ts';
import type { Store } from '../../coordinator/storage/store.ts';
import { until } from '../../coordinator/testing.ts';
import { concat, fromHex, toHex, utf8 } from '../../crypto/bytes.ts';
import { type LocalCommittee, runCeremony as makeKeyAlone } from '../../crypto/secagg/local-ceremony.ts';
import { Committee, type TestHolder } from '../../keyholder/testing.ts';
import {
  type CeremonyPhase,
  committeeKeyIdOf,
  decodeBeginPayload,
  decodeRevealPayload,
  encodeRevealPayload,
} from '../../protos/keyholder-messages.ts';
import { parseRoundConfig } from '../../protos/round-config.ts';
import {
  ceremonyId,
  ceremonyPartStatement,
  checkInStatement,
  committeeKeyStatement,
  sealedShareContext,
  uploadDigest,
  uploadStatement,
} from '../../protos/statements.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import {
  createAgent,
  createFederation,
  createIdentity,
  type FederationWorld,
  portOf,
  RunningCoordinator,
  servicesOf,
} from './testing-federation.ts';

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const INPUTS = 40;

let world: FederationWorld;
let committee: Committee;
let genuine: CommitteeKey;
/** Made by the coordinator alone: it has all four shares. */
let own: LocalCommittee;
let victim: IdentityBundle;

beforeAll(async () => {
  world = await createFederation({ inputs: INPUTS });
  committee = new Committee(world);
  genuine = await runCeremony(world.parsed, 1, committee.holders.map(portOf));
  own = makeKeyAlone({ ceremonyId: utf8('a key of the coordinator') });
  victim = await createIdentity(world);
});
afterAll(() => committee?.close());

const count = (store: Store, table: string): number =>
  store.read('count', (db) => db.get<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`)?.n ?? 0);

describe('a swapped public key', () => {
  const ownKeyId = () => committeeKeyIdOf(world.suite, own.publicKey);
  /** As a corrupt holder would sign. */
  const signaturesBy = (indices: readonly number[]) =>
    indices.map((index) => {
      const { id, signing } = world.holderKeys[index - 1]!;
      const statement = committeeKeyStatement({
        planHash: world.parsed.hash,
        round: 1,
        keyId: ownKeyId(),
      });
      return { holderId: id, signature: world.suite.sign(signing.secretKey, statement) };
    });

  /** A coordinator that starts with this key in its store, and these bytes under its id. */
  function coordinatorWith(key: CommitteeKey, bytes: Uint8Array): RunningCoordinator {
    const store = openMemoryStore();
    store.migrate('rounds', ROUNDS_MIGRATIONS);
    store.transaction('plant', (db) => {
      repository.putCommitteeKey(db, world.parsed.hashHex, key);
      db.run('UPDATE blobs SET data = ? WHERE digest = ?', bytes, toHex(key.keyId));
    });
    const ports = committee.holders.map(portOf);
    return new RunningCoordinator(world, servicesOf(world, ports, { store }));
  }

  /** A client that seals under whatever it is given: the weakened build. */
  async function sealTrustingly(coordinator: RunningCoordinator, digits: Int32Array): Promise<void> {
    const { suite, parsed, bfv } = world;
    const { subjectId: deviceId, signing } = victim;
    const rounds = coordinator.connect(victim);
    await until('the round', () => count(coordinator.services.store, 'rounds') === 1);
    const fields = { planHash: parsed.hash, pseudonym: new Uint8Array(32).fill(5), timeMs: Date.now() };
    const statement = checkInStatement({ ...fields, deviceId });
    const signature = suite.sign(signing.secretKey, statement);
    const reply = await rounds.checkIn({ ...fields, signature, waitMs: 2000, roundAfter: 0 });
    const { invitation } = reply as { invitation: { config: Uint8Array } };
    const { config, hash: configHash } = parseRoundConfig(invitation.config, suite);
    const committeeKeyId = fromHex(config.committeeKeyId);
    const pages: Uint8Array[] = [];
    for (let offset = 0, total = 1; offset < total; ) {
      const page = (await rounds.getBlob({ digest: committeeKeyId, offset })) as {
        data: Uint8Array;
        totalBytes: number;
      };
      pages.push(page.data);
      offset += page.data.length;
      total = page.totalBytes;
    }
    const { c0, c1 } = bfv.encrypt(concat(...pages), digits);
    const binding = {
      planHash: parsed.hash,
      round: 1,
      modelHash: fromHex(config.modelHash),
      configHash,
      committeeKeyId,
    };
    const digest = uploadDigest(suite, c0, c1);
    const signed = suite.sign(signing.secretKey, uploadStatement({ ...binding, deviceId, digest }));
    const header = { ...binding, digest, signature: signed, bodyBytes: c0.length, holderBytes: c1.length };
    const answer = await rounds.putUpload({ header, offset: 0, data: concat(c0, c1) });
    expect(answer).toMatchObject({ acknowledged: true });
  }

  /** The coordinator opens what the victim sent, with nobody's help. */
  function openAlone({ services }: RunningCoordinator): Int32Array {
    const { body: c0, holderPart: c1 } = services.store.read('upload', (db) =>
      uploadParts(services.spool, db, { planHex: world.parsed.hashHex, round: 1 }, victim.subjectId),
    );
    const digitCount = INPUTS + 1;
    const partials = [1, 2].map((holderIndex) =>
      world.bfv.partialDecrypt({
        share: own.shares[holderIndex - 1]!,
        c1Sum: c1,
        digitCount,
        holderIndex,
        activeSet: [1, 2],
      }),
    );
    return world.bfv.open({ c0Sum: c0, partials, digitCount });
  }

  it.each<[string, () => readonly [CommitteeKey, Uint8Array], RegExp]>([
    ['under the id that the holders signed', () => [genuine, own.publicKey], /not the one that the holders/],
    [
      "with the holders' signatures over the genuine one",
      () => [{ ...genuine, keyId: ownKeyId(), publicKey: own.publicKey }, own.publicKey],
      /lacks a valid signature of holder hospital/,
    ],
    [
      'with the signatures of three corrupt holders',
      () => [
        { round: 1, keyId: ownKeyId(), publicKey: own.publicKey, signatures: signaturesBy([1, 2, 3]) },
        own.publicKey,
      ],
      /lacks a valid signature of holder university/,
    ],
  ])('%s opens a trusting client; the real one seals nothing', async (_name, planted, message) => {
    const digits = Int32Array.from({ length: INPUTS + 1 }, (_, i) => ((i * 53) % 301) - 150);
    const weakened = coordinatorWith(...planted());
    await sealTrustingly(weakened, digits);
    expect(openAlone(weakened)).toEqual(digits);
    await weakened.stop();

    const coordinator = coordinatorWith(...planted());
    const agent = await createAgent(world, victim, coordinator.connect(victim));
    await expect(agent.join()).rejects.toThrow(coded('WRONG_COMMITTEE_KEY', message));
    expect(count(coordinator.services.store, 'uploads')).toBe(0);
    expect(count(coordinator.services.store, 'upload_chunks')).toBe(0);
    await coordinator.stop();
  });
});

describe('a holder that cheats in the ceremony', () => {
  type Cheat = (reply: CeremonyReply, receivers: readonly Uint8Array[]) => CeremonyReply;

  /** `university` runs its own service as it should and tells the others something else in REVEAL, well signed. */
  function cheating(holder: TestHolder, cheat: Cheat): HolderPort {
    const port = portOf(holder);
    let told: CeremonyReply | undefined;
    let receivers: Uint8Array[] = [];
    return {
      ...port,
      ceremonyStep: async (request) => {
        const parts = request.parts.map((part) => (part.holderId === holder.id && told ? told.part : part));
        if (request.phase === 'COMMIT_KEY')
          receivers = parts.map((part) => decodeBeginPayload(part.payload).sealingPublicKey);
        told = await port.ceremonyStep({ ...request, parts });
        return request.phase === 'REVEAL' ? cheat(told, receivers) : told;
      },
    };
  }

  function signed(phase: CeremonyPhase, payload: Uint8Array) {
    const { id: holderId, signing } = world.holderKeys[3]!;
    const { suite, parsed } = world;
    const payloadDigest = suite.digest(payload);
    const ceremony = ceremonyId(suite, parsed.hash, 1);
    const statement = ceremonyPartStatement({ ceremonyId: ceremony, phase, holderId, payloadDigest });
    return { holderId, payload, signature: suite.sign(signing.secretKey, statement) };
  }

  /** Another b than it committed to: chosen after the others', it would make the key its own. */
  const rogueKey: Cheat = (reply) => {
    const payload = decodeRevealPayload(reply.part.payload, 4);
    const publicPart = payload.publicPart.map((byte, i) => (i === 40 ? byte ^ 1 : byte));
    return { ...reply, part: signed('REVEAL', encodeRevealPayload({ ...payload, publicPart })) };
  };

  /** A share for `hospital` that does not lie on its polynomial. */
  const otherShare: Cheat = (reply, receivers) => {
    const { suite, parsed } = world;
    const context = sealedShareContext(ceremonyId(suite, parsed.hash, 1), 'university', 'hospital');
    const sealed = suite.seal(receivers[0]!, new Uint8Array(40_992), context);
    const payload = decodeRevealPayload(reply.part.payload, 4);
    const shareDigests = payload.shareDigests.map((digest, i) => (i === 0 ? suite.digest(sealed) : digest));
    const shares = reply.shares.map((share) =>
      share.toHolderId === 'hospital' ? { ...share, sealed } : share,
    );
    return { ...reply, part: signed('REVEAL', encodeRevealPayload({ ...payload, shareDigests })), shares };
  };

  it.each<[string, Cheat, RegExp]>([
    ['a rogue b', rogueKey, /^CEREMONY_FAILED: .*holder university revealed another key/],
    [
      'an inconsistent share',
      otherShare,
      /^SHARE_INCONSISTENT: .*dealt by holder university differs from its published hash/,
    ],
  ])('with %s ends the plan, named, before any client is asked', async (_name, cheat, message) => {
    const fresh = new Committee(world);
    const ports = fresh.holders.map((holder) =>
      holder.id === 'university' ? cheating(holder, cheat) : portOf(holder),
    );
    const coordinator = new RunningCoordinator(world, servicesOf(world, ports));
    const outcome = await coordinator.ended;
    expect(outcome.status).toBe('failed');
    expect(outcome.message).toMatch(message);
    const at = { planHash: world.parsed.hash, round: 1 };
    for (const { context } of fresh.holders) expect(context.store.committeeKey(at)).toBeUndefined();
    for (const table of ['committee_keys', 'rounds', 'uploads'])
      expect(count(coordinator.services.store, table)).toBe(0);
    await coordinator.stop();
    fresh.close();
  });
});
