/** Goal: consent, report and erasure over real gRPC with mutual TLS: who may call, what hostile bytes get, what proves. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { giveConsent } from '../../client/agent/consent.ts';
import { eraseAtCoordinator } from '../../client/agent/erase.ts';
import { openRounds } from '../../client/agent/grpc-rounds.ts';
import { emptyState } from '../../client/agent/store.ts';
import { askSubjectAccess } from '../../client/agent/subject-access.ts';
import type { RoundsTransport } from '../../client/agent/transport.ts';
import type { WithdrawalParts } from '../../client/agent/withdraw.ts';
import { fromHex, toHex, utf8 } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { parseCheckpointText, parseSignedNote } from '../../crypto/log/checkpoint.ts';
import { leafHash } from '../../crypto/log/merkle.ts';
import { noteVerifier } from '../../crypto/log/note-keys.ts';
import { policyOfLogs } from '../../crypto/log/tlog-policy.ts';
import { parseTlogProof, verifyTlogProof } from '../../crypto/log/tlog-proof.ts';
import { CONSENT_BYTES_MAX } from '../../protos/consent.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { checkInStatement, ledgerPseudonym } from '../../protos/statements.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { LoopbackDeployment, type Wire } from './testing-deployment.ts';

const suite = getSuite('intl');
const world = new LoopbackDeployment();
const transports: RoundsTransport[] = [];
let parsed: ParsedPlan;
let ada: IdentityBundle;
let ben: IdentityBundle;
let researcher: Wire;

const pseudonymOf = ({ signing }: IdentityBundle) =>
  ledgerPseudonym(suite, suite.mac(signing.secretKey, utf8('pulsefold/v1/ledger-secret')), parsed.plan.epoch);

function partsOf(identity: IdentityBundle): WithdrawalParts {
  const transport = openRounds(world.address, identity);
  transports.push(transport);
  return {
    session: { parsed, suite },
    identity,
    pseudonym: pseudonymOf(identity),
    state: emptyState(),
    transport,
    nowMs: Date.now,
    save: async () => {},
  };
}

const checkIn = (wire: Wire) => {
  const { identity } = wire;
  const fields = { planHash: parsed.hash, pseudonym: pseudonymOf(identity), timeMs: Date.now() };
  const statement = checkInStatement({ ...fields, deviceId: identity.subjectId });
  const signature = suite.sign(identity.signing.secretKey, statement);
  return wire.call('CheckIn', { ...fields, signature, waitMs: 20_000, roundAfter: 0 });
};

beforeAll(async () => {
  await world.startOthers();
  await world.startCoordinator();
  [ada, ben] = [await world.enrol('client'), await world.enrol('client')];
  researcher = world.wire(await world.enrol('researcher'));
  const consent = { required: true, controller: 'Heart Institute', contact: 'x', retentionDays: 30 };
  const shares = { transport: 'shares' };
  const rounds = { training: 1, cohortMin: 2, cohortTarget: 2, cohortMax: 4 };
  parsed = finishPlan({ ...world.plan('asks', rounds, shares).plan, consent });
  expect((await world.submit(parsed, researcher)).status).toBe('OK');
});
afterAll(async () => {
  for (const transport of transports) transport.close();
  await world.stop();
});

describe('over the wire', () => {
  it('no consent, no invitation; a consent, an invitation', async () => {
    const wire = world.wire(ada);
    expect(await checkIn(wire)).toMatchObject({ status: 'FAILED_PRECONDITION', code: 'CONSENT_MISSING' });
    const parts = partsOf(ada);
    const receipt = await giveConsent(parts);
    expect(receipt.deviceId).toBe(ada.subjectId);
    expect((await checkIn(wire)).reply.outcome).toBe('invitation');
    // Somebody else's statement, under one's own certificate.
    const { consent, signature } = parts.state.consents[0]!;
    const stolen = { consent: utf8(consent), signature: fromHex(signature) };
    expect(await world.wire(ben).call('Consent', stolen)).toMatchObject({ code: 'BAD_SIGNATURE' });
    expect(await checkIn(world.wire(ben))).toMatchObject({ code: 'CONSENT_MISSING' });
  });

  it('is for clients only, and hostile bytes get a code', async () => {
    for (const method of ['Consent', 'SubjectAccess', 'EraseDevice'])
      expect(await researcher.call(method, {})).toMatchObject({
        status: 'PERMISSION_DENIED',
        code: 'WRONG_ROLE',
      });
    const wire = world.wire(ben);
    const signature = new Uint8Array(64);
    const cases: [string, object, string][] = [
      ['Consent', {}, 'FIELD_OUT_OF_RANGE'],
      ['Consent', { consent: new Uint8Array(CONSENT_BYTES_MAX + 1), signature }, 'FIELD_OUT_OF_RANGE'],
      ['Consent', { consent: utf8('{"a":1}'), signature }, 'MALFORMED_MESSAGE'],
      ['Consent', { consent: utf8('['.repeat(50_000)), signature }, 'MALFORMED_MESSAGE'],
      ['SubjectAccess', { planHash: parsed.hash, signature }, 'FIELD_OUT_OF_RANGE'],
      ['EraseDevice', { planHash: parsed.hash, pseudonym: new Uint8Array(32), signature }, 'BAD_SIGNATURE'],
    ];
    for (const [method, message, code] of cases)
      expect(await wire.call(method, message), method).toMatchObject({ code });
    expect((await wire.send('Rounds', 'Consent', Buffer.alloc(64, 0xff))).status).not.toBe('OK');
  });

  it('the report proves its leaves under a signed checkpoint', async () => {
    const { report, receipt } = await askSubjectAccess(partsOf(ada));
    expect(report).toMatchObject({
      deviceId: ada.subjectId,
      pseudonyms: [{ pseudonym: toHex(pseudonymOf(ada)) }],
      consents: [{}],
      invitations: [{ round: 1 }],
    });
    expect(receipt.commitment).toMatch(/^[0-9a-f]{64}$/);
    const [{ what, proof }] = report.logProofs as [(typeof report.logProofs)[number]];
    expect(what).toBe('consent');
    const { checkpoint, extra } = parseTlogProof(proof);
    const { origin } = parseCheckpointText(parseSignedNote(checkpoint).text);
    const publicKey = fromHex(parsed.plan.coordinatorPublicKey);
    const log = noteVerifier({ name: origin, algorithm: 'ed25519', publicKey });
    verifyTlogProof(proof, { leafHash: leafHash(extra!), policy: policyOfLogs([log]) });
    expect(Buffer.from(extra!).toString()).toContain(toHex(pseudonymOf(ada)));
    expect(Buffer.from(extra!).toString()).not.toContain(ada.subjectId);
  });

  it('an erased device is known to nobody, and does not come back', async () => {
    const parts = partsOf(ada);
    const { content } = await eraseAtCoordinator(parts);
    expect(content.erased.length).toBeGreaterThan(1);
    expect(await checkIn(world.wire(ada))).toMatchObject({ status: 'FAILED_PRECONDITION', code: 'ERASED' });
    await expect(askSubjectAccess(parts)).rejects.toThrow(expect.objectContaining({ code: 'ERASED' }));
    expect((await eraseAtCoordinator(parts)).content).toMatchObject({ repeated: true, erased: [] });
  });
});
