/**
 * Goal: whatever a hostile or broken client sends over the real wire gets a gRPC status and a code of its own, and the
 * round of the honest goes on without it: its opened sum is exactly theirs.
 *
 * Registrar, four key holders and coordinator from their configurations, in this process, on loopback with mutual TLS
 * 1.3. Tried by taking protections out: without `requireBinding` of coordinator/rounds/uploads.ts nine rows fail (three
 * uploads of another round's binding are acknowledged), without the role table of protos/transport/server.ts two,
 * without the revocation list one.
 */
import type { ChannelCredentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromHex } from '../../crypto/bytes.ts';
import {
  createCertificateAuthority,
  generateTlsKey,
  issueCertificate,
  subjectIdOf,
} from '../../crypto/identity/certificate.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { loadBfv } from '../../crypto/secagg/bfv.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { type EncodedRoundConfig, parseRoundConfig } from '../../protos/round-config.ts';
import type { UploadHeader } from '../../protos/rounds-messages.ts';
import {
  checkInStatement,
  ledgerPseudonym,
  type RoundBinding,
  uploadDigest,
  uploadStatement,
} from '../../protos/statements.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { channelCredentials } from '../../protos/transport/tls.ts';
import {
  type Answer,
  credentialsOf,
  LoopbackDeployment,
  MINUTE_MS,
  type Wire,
} from './testing-deployment.ts';

const suite = getSuite('intl');
const deployment = new LoopbackDeployment();
let parsed: ParsedPlan;
let honest: Wire[];
let hostile: Wire;
let newcomer: Wire;
let revoked: IdentityBundle;
let researcher: Wire;

beforeAll(async () => {
  await deployment.startOthers();
  revoked = await deployment.enrol('client');
  deployment.revoke(revoked);
  await deployment.startCoordinator();
  researcher = deployment.wire(await deployment.enrol('researcher'));
  const identities = await Promise.all(Array.from({ length: 5 }, () => deployment.enrol('client')));
  const wires = identities.map((identity) => deployment.wire(identity));
  [hostile, newcomer, ...honest] = wires as [Wire, Wire, ...Wire[]];
  parsed = deployment.plan('bad-input', { training: 2, cohortMin: 3, cohortTarget: 3, cohortMax: 10 });
  expect(await deployment.submit(parsed, researcher)).toMatchObject({ status: 'OK' });
}, 60_000);
afterAll(() => deployment.stop(), 30_000);

const pseudonymOf = ({ identity }: Wire) => ledgerPseudonym(suite, identity.signing.secretKey, '1');

function checkInMessage(
  wire: Wire,
  changes: { timeMs?: number; pseudonym?: Uint8Array; signedBy?: Wire; planHash?: Uint8Array } = {},
) {
  const {
    planHash = parsed.hash,
    pseudonym = pseudonymOf(wire),
    timeMs = Date.now(),
    signedBy = wire,
  } = changes;
  const fields = { planHash, pseudonym, timeMs };
  const statement = checkInStatement({ ...fields, deviceId: wire.identity.subjectId });
  return {
    ...fields,
    signature: suite.sign(signedBy.identity.signing.secretKey, statement),
    waitMs: 20_000,
    roundAfter: 0,
  };
}

async function invited(wire: Wire, roundAfter: number): Promise<EncodedRoundConfig> {
  for (;;) {
    const {
      status: outcome,
      code,
      reply,
    } = await wire.call('CheckIn', { ...checkInMessage(wire), roundAfter });
    expect([outcome, code]).toEqual(['OK', undefined]);
    const { config } = (reply.invitation ?? {}) as { config?: Uint8Array };
    if (config) return parseRoundConfig(new Uint8Array(config), suite);
  }
}

interface Sealed {
  readonly header: UploadHeader;
  readonly bytes: Uint8Array;
  readonly digits: Int32Array;
}

function sign(
  wire: Wire,
  config: EncodedRoundConfig,
  c0: Uint8Array,
  c1: Uint8Array,
  changes: Partial<RoundBinding> = {},
): Sealed {
  const binding = {
    planHash: parsed.hash,
    round: config.config.round,
    modelHash: fromHex(config.config.modelHash),
    configHash: config.hash,
    committeeKeyId: fromHex(config.config.committeeKeyId),
    ...changes,
  };
  const digest = uploadDigest(suite, c0, c1);
  const statement = uploadStatement({ ...binding, deviceId: wire.identity.subjectId, digest });
  const signature = suite.sign(wire.identity.signing.secretKey, statement);
  const header = { ...binding, digest, signature, bodyBytes: c0.length, holderBytes: c1.length };
  return { header, bytes: new Uint8Array(Buffer.concat([c0, c1])), digits: new Int32Array(0) };
}

async function seal(
  wire: Wire,
  config: EncodedRoundConfig,
  value: number,
  length = config.config.digitCount,
): Promise<Sealed> {
  const bfv = await loadBfv();
  const blob = await wire.call('GetBlob', { digest: fromHex(config.config.committeeKeyId), offset: 0 });
  const digits = Int32Array.from({ length }, (_, i) => (i % 2 === 0 ? value : -value));
  const { c0, c1 } = bfv.encrypt(new Uint8Array(blob.reply.data as Uint8Array), digits);
  return { ...sign(wire, config, c0, c1), digits };
}

const put = (wire: Wire, { header, bytes }: Sealed, offset = 0) =>
  wire.call('PutUpload', { header, offset, data: bytes.subarray(offset) });

/** What a round must have opened. */
const sumOf = (sealed: readonly Sealed[]): number[] =>
  sealed.map(({ digits }) => [...digits]).reduce((sum, digits) => sum.map((value, i) => value + digits[i]!));

type Row = readonly [name: string, send: () => Promise<Answer>, status: string, code: string | undefined];

interface Stage {
  readonly config: EncodedRoundConfig;
  /** A good upload of the hostile device for this round, not sent yet; and its own of the round before. */
  readonly own: Sealed;
  readonly earlier: Sealed;
}

async function uploadRows({ config, own, earlier }: Stage): Promise<Row[]> {
  const other = new Uint8Array(32).fill(9);
  const c0 = own.bytes.subarray(0, own.header.bodyBytes);
  const c1 = own.bytes.subarray(own.header.bodyBytes);
  const bound = (changes: Partial<RoundBinding>) => () =>
    put(hostile, sign(hostile, config, c0, c1, changes));
  const uninvited = await seal(newcomer, config, 1);
  const flipped = { ...own, bytes: own.bytes.map((byte, i) => (i === 50 ? byte ^ 1 : byte)) };
  const long = await seal(hostile, config, 1, 100);
  const data = new Uint8Array(1);
  const bytes = (length: number) =>
    hostile.call('PutUpload', { header: own.header, offset: 0, data: new Uint8Array(length) });
  return [
    [
      'no protobuf at all',
      () => hostile.send('Rounds', 'PutUpload', Buffer.from('0affffffffff', 'hex')),
      'INVALID_ARGUMENT',
      'MALFORMED_MESSAGE',
    ],
    [
      'a cut-off message',
      () => hostile.send('Rounds', 'CheckIn', Buffer.from('0a20ab', 'hex')),
      'INVALID_ARGUMENT',
      'MALFORMED_MESSAGE',
    ],
    [
      'an upload without a header',
      () => hostile.call('PutUpload', { offset: 0, data }),
      'INVALID_ARGUMENT',
      'MALFORMED_MESSAGE',
    ],
    [
      'a digest of 31 bytes',
      () =>
        hostile.call('PutUpload', { header: { ...own.header, digest: new Uint8Array(31) }, offset: 0, data }),
      'INVALID_ARGUMENT',
      'FIELD_OUT_OF_RANGE',
    ],
    ['an oversized chunk', () => bytes(256 * 1024 + 1), 'RESOURCE_EXHAUSTED', 'CHUNK_TOO_LARGE'],
    // Refused by its length prefix, before it is read.
    ['an oversized message', () => bytes(5 * 1024 * 1024), 'RESOURCE_EXHAUSTED', 'CHUNK_TOO_LARGE'],
    [
      'a chunk past the announced size',
      () => bytes(own.bytes.length + 1),
      'RESOURCE_EXHAUSTED',
      'UPLOAD_TOO_LARGE',
    ],
    [
      'an announced size beyond all caps',
      () => hostile.call('PutUpload', { header: { ...own.header, holderBytes: 2 ** 31 }, offset: 0, data }),
      'INVALID_ARGUMENT',
      'FIELD_OUT_OF_RANGE',
    ],
    ['a chunk from nowhere', () => put(hostile, own, 1000), 'OUT_OF_RANGE', 'UPLOAD_OFFSET_MISMATCH'],
    // The configuration hash alone travels; the rest of the binding is the round's own and signed.
    ['another plan', bound({ planHash: other }), 'UNAUTHENTICATED', 'BAD_SIGNATURE'],
    ['another model', bound({ modelHash: other }), 'UNAUTHENTICATED', 'BAD_SIGNATURE'],
    ['another configuration', bound({ configHash: other }), 'FAILED_PRECONDITION', 'WRONG_CONFIG'],
    ['another committee key', bound({ committeeKeyId: other }), 'UNAUTHENTICATED', 'BAD_SIGNATURE'],
    ['a round to come', bound({ round: 9 }), 'UNAUTHENTICATED', 'BAD_SIGNATURE'],
    [
      '... with the hashes of this round',
      () =>
        put(hostile, {
          ...earlier,
          header: { ...own.header, digest: earlier.header.digest, signature: earlier.header.signature },
        }),
      'UNAUTHENTICATED',
      'BAD_SIGNATURE',
    ],
    ['somebody else’s upload', () => put(newcomer, own), 'UNAUTHENTICATED', 'BAD_SIGNATURE'],
    ['an upload without an invitation', () => put(newcomer, uninvited), 'PERMISSION_DENIED', 'NOT_INVITED'],
    ['a vector of another length', () => put(hostile, long), 'INVALID_ARGUMENT', 'VECTOR_LENGTH_MISMATCH'],
    [
      'a ciphertext of other parameters',
      () => put(hostile, sign(hostile, config, c0, new Uint8Array(c1.length).fill(0xff))),
      'INVALID_ARGUMENT',
      'WRONG_CIPHERTEXT_PARAMETERS',
    ],
    [
      'bytes that are not those that were signed',
      () => put(hostile, flipped),
      'INVALID_ARGUMENT',
      'DIGEST_MISMATCH',
    ],
    [
      'the receipt of a round to come',
      () => hostile.call('GetReceipt', { planHash: parsed.hash, round: 9 }),
      'NOT_FOUND',
      'NOT_FOUND',
    ],
    [
      'an artefact that nobody has',
      () => hostile.call('GetBlob', { digest: other, offset: 0 }),
      'NOT_FOUND',
      'NOT_FOUND',
    ],
  ];
}

async function identityRows(): Promise<Row[]> {
  const skewMs = 11 * MINUTE_MS;
  const checkIn = (wire: Wire, changes: Parameters<typeof checkInMessage>[1]) => () =>
    wire.call('CheckIn', checkInMessage(wire, changes));
  const shutOut = deployment.wire(revoked);
  const stranger = deployment.wire(hostile.identity, await strangerCredentials());
  const anonymous = channelCredentials({ caPem: deployment.caPem, server: { role: 'coordinator' } });
  const nobody = deployment.wire(hostile.identity, anonymous);
  return [
    [
      'a check-in signed by another device',
      checkIn(newcomer, { signedBy: hostile }),
      'UNAUTHENTICATED',
      'BAD_SIGNATURE',
    ],
    [
      'a stale check-in',
      checkIn(newcomer, { timeMs: Date.now() - skewMs }),
      'UNAUTHENTICATED',
      'BAD_SIGNATURE',
    ],
    [
      'a check-in from the future',
      checkIn(newcomer, { timeMs: Date.now() + skewMs }),
      'UNAUTHENTICATED',
      'BAD_SIGNATURE',
    ],
    [
      'the pseudonym of another device',
      checkIn(newcomer, { pseudonym: pseudonymOf(hostile) }),
      'FAILED_PRECONDITION',
      'BUDGET_EXCEEDED',
    ],
    [
      'a check-in to another plan',
      checkIn(newcomer, { planHash: new Uint8Array(32) }),
      'FAILED_PRECONDITION',
      'WRONG_PLAN',
    ],
    [
      'a client at the admin service',
      () => hostile.call('GetStatus', {}, 'Admin'),
      'PERMISSION_DENIED',
      'WRONG_ROLE',
    ],
    [
      'a researcher among the clients',
      () => researcher.call('CheckIn', checkInMessage(researcher)),
      'PERMISSION_DENIED',
      'WRONG_ROLE',
    ],
    ...['Consent', 'SubjectAccess', 'EraseDevice'].map(
      (method): Row => [
        `a researcher who wants ${method}`,
        () => researcher.call(method, {}),
        'PERMISSION_DENIED',
        'WRONG_ROLE',
      ],
    ),
    ['a consent that is none', () => newcomer.call('Consent', {}), 'INVALID_ARGUMENT', 'FIELD_OUT_OF_RANGE'],
    ['a revoked certificate', () => shutOut.call('GetPlan', {}), 'UNAUTHENTICATED', 'CERTIFICATE_REVOKED'],
    // These end in the TLS handshake: there is no call that a code could belong to.
    ['a certificate of another CA', () => stranger.call('GetPlan', {}), 'UNAVAILABLE', undefined],
    ['no certificate', () => nobody.call('GetPlan', {}), 'UNAVAILABLE', undefined],
  ];
}

/** A client certificate with the right name and role, from a CA that nobody here pins. */
async function strangerCredentials(): Promise<ChannelCredentials> {
  const times = { notBeforeMs: Date.now() - MINUTE_MS, notAfterMs: Date.now() + 60 * MINUTE_MS };
  const authority = await createCertificateAuthority({ name: 'registrar', ...times });
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const signingPublicKey = suite.generateSigningKey().publicKey;
  const subjectId = subjectIdOf('client', 'intl', signingPublicKey);
  const sealingPublicKey = suite.generateSealingKey().publicKey;
  const claims = {
    role: 'client' as const,
    suite: 'intl' as const,
    subjectId,
    signingPublicKey,
    sealingPublicKey,
  };
  const { pem } = await issueCertificate(authority, { claims, tlsPublicKey, ...times });
  return credentialsOf({ caPem: deployment.caPem, certPem: pem, tlsKeyPem });
}

test('every row gets its status and code, and the honest finish their round', {
  timeout: 60_000,
}, async () => {
  // Round 1: the hostile device behaves, so that it has an upload to replay.
  const round1 = [honest[0]!, honest[1]!, hostile];
  const configs1 = await Promise.all(round1.map((wire) => invited(wire, 0)));
  const sealed1 = await Promise.all(round1.map((wire, i) => seal(wire, configs1[i]!, i + 1)));
  for (const [i, wire] of round1.entries())
    expect(await put(wire, sealed1[i]!)).toMatchObject({ status: 'OK' });

  const round2 = [...honest, hostile];
  const configs2 = await Promise.all(round2.map((wire) => invited(wire, 1)));
  const [config] = configs2;
  expect(config!.config.round).toBe(2);
  const sealed2 = await Promise.all(round2.map((wire, i) => seal(wire, configs2[i]!, 10 ** i)));
  const stage = { config: config!, own: sealed2[3]!, earlier: sealed1[2]! };
  const rows = [...(await uploadRows(stage)), ...(await identityRows())];
  const answers: unknown[] = [];
  for (const [name, send] of rows) {
    const answer = await send();
    answers.push([name, answer.status, answer.code]);
  }
  expect(answers).toEqual(rows.map(([name, , outcome, code]) => [name, outcome, code]));
  // The very bytes of round 1 once more: the same answer as then, and no part in round 2.
  expect(await put(hostile, sealed1[2]!)).toMatchObject({
    status: 'OK',
    reply: { acknowledged: true, late: false },
  });
  // A first chunk claims the digest for (round, device); any other is refused from then on.
  const started = { header: stage.own.header, offset: 0, data: stage.own.bytes.subarray(0, 1000) };
  expect(await hostile.call('PutUpload', started)).toMatchObject({
    status: 'OK',
    reply: { acknowledged: false },
  });
  const second = await put(hostile, await seal(hostile, config!, 5));
  expect([second.status, second.code]).toEqual(['ALREADY_EXISTS', 'SECOND_DIGEST']);

  for (const [i, wire] of honest.entries())
    expect(await put(wire, sealed2[i]!)).toMatchObject({ reply: { acknowledged: true } });
  expect(await deployment.ended()).toBe('2 rounds released');
  expect(deployment.round(parsed, 1)).toMatchObject({ cohortCount: 3, sum: { digits: sumOf(sealed1) } });
  expect(deployment.round(parsed, 2)).toMatchObject({
    cohortCount: 3,
    sum: { digits: sumOf(sealed2.slice(0, 3)) },
  });
  // Too late now, and signed as such.
  const rest = await put(hostile, stage.own, 1000);
  expect(rest).toMatchObject({ status: 'OK', reply: { late: true } });
});
