/**
 * A coordinator, four holders, an approver and a registrar in one process, as one device sees them: for tests only.
 *
 * Real keys, signatures, certificates, plans and proofs; no network and no clock. `on` lets a test lie in one reply,
 * so that each refusal is seen against a run that succeeds. It opens nothing: updates stay what the agent sealed.
 * May be called by: *.test.ts in client/. Not exported by the package.
 */
import { createHash } from 'node:crypto';
import { concat, equalBytes, fromHex, toHex, utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { type CertificateAuthority, certificateDer } from '../../crypto/identity/certificate.ts';
import { getSuite, type KeyPair, type Suite, type SuiteName } from '../../crypto/identity/suite.ts';
import { leafHash, MerkleTree } from '../../crypto/log/merkle.ts';
import { randomBytes } from '../../crypto/random.ts';
import type { ApprovalPolicy } from '../../protos/approval-policy.ts';
import { BLOB_PAGE_BYTES } from '../../protos/fields.ts';
import { committeeKeyIdOf } from '../../protos/keyholder-messages.ts';
import { parameterCount } from '../../protos/model.ts';
import { approvePlan, finishPlan, type ParsedPlan, type PlanApproval, quorumOf } from '../../protos/plan.ts';
import { digitCountOf } from '../../protos/plan-scheme.ts';
import { encodeReceipt, type Receipt } from '../../protos/receipt.ts';
import { encodeRoundConfig, type RoundKind } from '../../protos/round-config.ts';
import {
  abortStatement,
  acknowledgementStatement,
  certificateStatement,
  committeeKeyStatement,
  entryLeaf,
  lateStatement,
  receiptStatement,
  type UploadStatement,
  uploadDigest,
  weightsDigest,
} from '../../protos/statements.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import type { Pins } from './invitation.ts';
import { type Changes, enrolledClient, type Holder, planValue, START_MS } from './testing.ts';
import { chargeOfRound, withdrawalReply } from './testing-answers.ts';
import type { FakeRound, Sent } from './testing-fake-round.ts';
import type { CheckInRequest, RoundRequest, RoundsTransport, WithdrawRequest } from './transport.ts';

type Method = Exclude<keyof RoundsTransport, 'close'>;
type Interceptor = (reply: never, request: never) => unknown;

export class FakeCoordinator implements RoundsTransport {
  readonly suite: Suite;
  readonly holders: readonly Holder[];
  readonly coordinatorKey: KeyPair;
  readonly registrarSha256: string;
  readonly authority: CertificateAuthority;
  /** The device under test; a test that enrols one itself says which. */
  identity: IdentityBundle;
  readonly #approver: KeyPair;
  parsed: ParsedPlan;
  approvals: PlanApproval[];
  readonly rounds = new Map<number, FakeRound>();
  readonly sent: Sent[] = [];
  readonly checkIns: CheckInRequest[] = [];
  /** Called before (throw to break the call) and with each reply (return another to lie). */
  readonly on: Partial<Record<Method, Interceptor>> = {};
  readonly before: Partial<Record<Method, (request: never) => void>> = {};
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #roundsByConfig = new Map<string, number>();

  private constructor(
    parts: Pick<
      FakeCoordinator,
      'suite' | 'holders' | 'coordinatorKey' | 'registrarSha256' | 'authority' | 'identity'
    > & { approver: KeyPair; changes: Changes },
  ) {
    this.suite = parts.suite;
    this.holders = parts.holders;
    this.coordinatorKey = parts.coordinatorKey;
    this.registrarSha256 = parts.registrarSha256;
    this.authority = parts.authority;
    this.identity = parts.identity;
    this.#approver = parts.approver;
    this.parsed = finishPlan(planValue(this, this.suite.name, parts.changes));
    this.approvals = [approvePlan(this.parsed, 'board', this.#approver)];
  }

  static async create(changes: Changes = {}, suiteName: SuiteName = 'intl'): Promise<FakeCoordinator> {
    const suite = getSuite(suiteName);
    const { identity, authority } = await enrolledClient(suite);
    const holders = ['hospital', 'regulator', 'platform', 'university'].map((id) => ({
      id,
      signing: suite.generateSigningKey(),
      sealing: suite.generateSealingKey(),
    }));
    const registrarSha256 = createHash('sha256').update(certificateDer(authority.caPem)).digest('hex');
    const [coordinatorKey, approver] = [suite.generateSigningKey(), suite.generateSigningKey()];
    return new FakeCoordinator({
      suite,
      holders,
      coordinatorKey,
      registrarSha256,
      authority,
      identity,
      approver,
      changes,
    });
  }

  /** Another plan on the same keys, approved or not. */
  replacePlan(changes: Changes, approved = true): void {
    this.parsed = finishPlan(planValue(this, this.suite.name, changes));
    if (approved) this.approvals = [approvePlan(this.parsed, 'board', this.#approver)];
  }

  get policy(): ApprovalPolicy {
    return { approvers: [{ id: 'board', publicKey: toHex(this.#approver.publicKey) }], required: 1 };
  }

  get pins(): Pins {
    return { registrarCa: certificateDer(this.authority.caPem) };
  }

  openRound(
    round: number,
    options: {
      kind?: RoundKind;
      fate?: FakeRound['fate'];
      weight?: number;
      committeeKey?: Uint8Array;
      clip?: string;
    } = {},
  ): FakeRound {
    const { kind = 'training', fate = 'certified', weight = 0.125, clip } = options;
    const weights = Float32Array.from(
      { length: parameterCount(this.parsed.plan.model) },
      (_, i) => weight * i,
    );
    const model = new Uint8Array(weights.buffer);
    const modelHash = weightsDigest(this.suite, model);
    const committeeKey = options.committeeKey ?? randomBytes(1000);
    const keyId = committeeKeyIdOf(this.suite, committeeKey);
    this.putBlob(modelHash, model);
    this.putBlob(keyId, committeeKey);
    const config = encodeRoundConfig(
      {
        version: 1,
        planHash: this.parsed.hashHex,
        round,
        kind,
        modelHash: toHex(modelHash),
        committeeKeyId: toHex(keyId),
        digitCount: digitCountOf(this.parsed, kind),
        openedAtMs: START_MS,
        ...(clip === undefined ? {} : { clip }),
      },
      this.suite,
    );
    const opened: FakeRound = { kind, config, committeeKey, signatures: this.signKey(round, keyId), fate };
    this.rounds.set(round, opened);
    this.#roundsByConfig.set(config.hashHex, round);
    return opened;
  }

  putBlob(digest: Uint8Array, bytes: Uint8Array): void {
    this.#blobs.set(toHex(digest), bytes);
  }

  signKey(round: number, keyId: Uint8Array): FakeRound['signatures'] {
    return this.signAll(committeeKeyStatement({ planHash: this.parsed.hash, round, keyId }));
  }

  /** The first `count` holders' signatures. */
  signAll(statement: Uint8Array, count = this.holders.length): { holderId: string; signature: Uint8Array }[] {
    return this.holders
      .slice(0, count)
      .map(({ id, signing }) => ({ holderId: id, signature: this.suite.sign(signing.secretKey, statement) }));
  }

  getPlan = (): Promise<unknown> =>
    this.#answer('getPlan', {}, () => ({
      plan: this.parsed.bytes,
      approvals: this.approvals,
      coordinatorPublicKey: this.coordinatorKey.publicKey,
    }));

  checkIn = (request: CheckInRequest): Promise<unknown> =>
    this.#answer('checkIn', request, () => {
      this.checkIns.push(request);
      const next = [...this.rounds.keys()].sort((a, b) => a - b).find((round) => round > request.roundAfter);
      if (next === undefined)
        return { outcome: 'finished', finished: { reason: 'completed: done', modelHash: randomBytes(32) } };
      return { outcome: 'invitation', invitation: this.invitation(next) };
    });

  invitation(round: number) {
    const { config, signatures } = this.#round(round);
    // Left to be fetched: the longer way, which a coordinator may always choose.
    const committeeKey = new Uint8Array(0);
    return { config: config.bytes, committeeKeySignatures: signatures, committeeKey };
  }

  getBlob = (request: { digest: Uint8Array; offset: number }): Promise<unknown> =>
    this.#answer('getBlob', request, () => {
      const bytes = this.#blobs.get(toHex(request.digest));
      ensure(bytes, 'NOT_FOUND', 'no artefact has this digest');
      return {
        data: bytes.subarray(request.offset, request.offset + BLOB_PAGE_BYTES),
        totalBytes: bytes.length,
      };
    });

  getUploadState = (request: { configHash: Uint8Array; digest: Uint8Array }): Promise<unknown> =>
    this.#answer('getUploadState', request, () => {
      const upload = this.rounds.get(this.roundOf(request.configHash))?.upload;
      const known = upload && equalBytes(upload.header.digest, request.digest);
      return {
        nextOffset: known ? upload.received.length : 0,
        acknowledged: known === true && upload.acknowledged,
      };
    });

  putUpload = (request: Sent): Promise<unknown> =>
    this.#answer('putUpload', request, () => {
      this.sent.push({ ...request, data: request.data.slice() });
      return this.#store(request);
    });

  getReceipt = (request: RoundRequest): Promise<unknown> =>
    this.#answer('getReceipt', request, () => {
      const { fate } = this.#round(request.round);
      if (fate === 'open')
        return { receipt: new Uint8Array(0), signature: new Uint8Array(0), retryAfterMs: 300 };
      return this.signReceipt(this.receiptOf(request.round));
    });

  withdraw = (request: WithdrawRequest): Promise<unknown> =>
    this.#answer('withdraw', request, () => withdrawalReply(this, request));

  close(): void {}

  async #answer(method: Method, request: object, reply: () => unknown): Promise<unknown> {
    this.before[method]?.(request as never);
    const honest = reply();
    return this.on[method] ? this.on[method](honest as never, request as never) : honest;
  }

  /** The round of a configuration that was ever shown; 0 for none. */
  roundOf(configHash: Uint8Array): number {
    return this.#roundsByConfig.get(toHex(configHash)) ?? 0;
  }

  #round(number: number): FakeRound {
    const round = this.rounds.get(number);
    ensure(round, 'NOT_FOUND', `there is no round ${number}`);
    return round;
  }

  #store({ header, offset, data }: Sent): object {
    const number = this.roundOf(header.configHash);
    const round = this.#round(number);
    const { upload } = round;
    const total = header.bodyBytes + header.holderBytes;
    if (upload)
      ensure(
        equalBytes(upload.header.digest, header.digest),
        'SECOND_DIGEST',
        'another update for this round',
      );
    const late = round.fate === 'late';
    let received = upload?.received ?? new Uint8Array(0);
    if (!upload?.acknowledged) {
      ensure(offset === received.length, 'UPLOAD_OFFSET_MISMATCH', `resume at offset ${received.length}`);
      received = concat(received, data);
    }
    const acknowledged = late || received.length === total;
    round.upload = { header, received, acknowledged, late };
    const none = { nextOffset: received.length, acknowledged, late, signature: new Uint8Array(0) };
    if (!acknowledged) return none;
    const statement = this.statement(number);
    if (!late) {
      const digest = uploadDigest(
        this.suite,
        received.subarray(0, header.bodyBytes),
        received.subarray(header.bodyBytes),
      );
      ensure(equalBytes(digest, header.digest), 'DIGEST_MISMATCH', 'other bytes than signed');
    }
    const signed = late ? lateStatement(statement) : acknowledgementStatement(statement);
    return { ...none, signature: this.suite.sign(this.coordinatorKey.secretKey, signed) };
  }

  /** What the device signed for a round. */
  statement(round: number): UploadStatement {
    const { upload, config } = this.#round(round);
    ensure(upload, 'NOT_FOUND', 'this device has no upload in this round');
    return {
      planHash: this.parsed.hash,
      round,
      modelHash: fromHex(config.config.modelHash),
      configHash: config.hash,
      committeeKeyId: fromHex(config.config.committeeKeyId),
      digest: upload.header.digest,
      deviceId: this.identity.subjectId,
    };
  }

  /** An honest receipt: a cohort of cohortMin with made-up others, signed by a quorum. */
  receiptOf(round: number): Receipt {
    const { fate } = this.#round(round);
    const statement = this.statement(round);
    const base = {
      version: 1 as const,
      planHash: this.parsed.hashHex,
      round,
      deviceId: statement.deviceId,
      digest: toHex(statement.digest),
      pseudonym: toHex(this.checkIns.at(-1)!.pseudonym),
    };
    if (fate === 'aborted') {
      const reason = 'too few uploads';
      const statementBytes = abortStatement({ planHash: this.parsed.hash, round, reason });
      return {
        ...base,
        outcome: 'aborted',
        abort: { reason, signatures: hexed(this.signAll(statementBytes, quorumOf(this.parsed.plan))) },
      };
    }
    const own = leafHash(entryLeaf(statement));
    const included = fate === 'certified';
    const count = this.parsed.plan.rounds.cohortMin;
    const others = Array.from({ length: included ? count - 1 : count }, (_, i) =>
      leafHash(utf8(`other ${round} ${i}`)),
    );
    const index = Math.min(1, others.length);
    const leaves = included ? [...others.slice(0, index), own, ...others.slice(index)] : others;
    const certificate = this.certificate(statement, leaves);
    if (!included)
      return {
        ...base,
        outcome: fate === 'late' ? 'late' : 'rejected',
        certificate,
        exclusion: { leafHashes: leaves.map(toHex) },
      };
    const proof = MerkleTree.fromLeafHashes(leaves).inclusionProof(index).map(toHex);
    const inclusion = { index, size: leaves.length, proof };
    return { ...base, outcome: 'certified', certificate, inclusion, ...chargeOfRound(this, round, leaves) };
  }

  certificate(
    statement: UploadStatement,
    leaves: readonly Uint8Array[],
    signers = quorumOf(this.parsed.plan),
  ) {
    const cohortRoot = MerkleTree.fromLeafHashes(leaves).root();
    const signed = certificateStatement({ ...statement, cohortRoot, cohortCount: leaves.length });
    return {
      modelHash: toHex(statement.modelHash),
      configHash: toHex(statement.configHash),
      committeeKeyId: toHex(statement.committeeKeyId),
      cohortRoot: toHex(cohortRoot),
      cohortCount: leaves.length,
      signatures: hexed(this.signAll(signed, signers)),
    };
  }

  signReceipt(receipt: Receipt, key = this.coordinatorKey) {
    const bytes = encodeReceipt(receipt);
    return {
      receipt: bytes,
      signature: this.suite.sign(key.secretKey, receiptStatement(bytes)),
      retryAfterMs: 0,
    };
  }

  /** Bytes of each attempt at a round's upload, reassembled from chunks by offset. */
  bytesSent(round: number): Uint8Array {
    const chunks = this.sent.filter(({ header }) => this.roundOf(header.configHash) === round);
    const out = new Uint8Array(Math.max(0, ...chunks.map(({ offset, data }) => offset + data.length)));
    for (const { offset, data } of chunks) {
      const before = out.subarray(offset, offset + data.length);
      ensure(
        before.every((byte, i) => byte === 0 || byte === data[i]),
        'SECOND_DIGEST',
        'two different bytes at one offset',
      );
      out.set(data, offset);
    }
    return out;
  }
}

export const hexed = (signatures: readonly { holderId: string; signature: Uint8Array }[]) =>
  signatures.map(({ holderId, signature }) => ({ holderId, signature: toHex(signature) }));
