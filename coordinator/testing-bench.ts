/**
 * The coordinator under test: real services over a real store, called through its gRPC handlers without the network.
 *
 * Restart it by making another `Bench` with the same file and the same holders. For coordinator/**\/*.test.ts only.
 */
import { fromHex, toHex } from '../crypto/bytes.ts';
import { PulsefoldError } from '../crypto/error.ts';
import type { Identity } from '../crypto/identity/certificate.ts';
import type { NoteSigner } from '../crypto/log/checkpoint.ts';
import type { ParsedPlan } from '../protos/plan.ts';
import { schemeOf } from '../protos/plan-scheme.ts';
import { type EncodedRoundConfig, parseRoundConfig } from '../protos/round-config.ts';
import type { UploadHeader } from '../protos/rounds-messages.ts';
import { checkInStatement, type RoundBinding, uploadDigest, uploadStatement } from '../protos/statements.ts';
import type { CallContext, ServedService } from '../protos/transport/server.ts';
import type { FoldPool } from './aggregation/fold-pool.ts';
import { Coordinator } from './coordinator.ts';
import { exportRun } from './export.ts';
import { adminService } from './grpc/admin-service.ts';
import { roundsService } from './grpc/rounds-service.ts';
import { BudgetLedger } from './ledger/budget-ledger.ts';
import { releaseRound } from './release-round.ts';
import { RoundBudget } from './rounds/budget.ts';
import type { RoundState } from './rounds/machine.ts';
import { ROUNDS_MIGRATIONS } from './rounds/repository.ts';
import type { PlanOutcome } from './rounds/runner.ts';
import type { RoundServices } from './rounds/services.ts';
import type { PutUploadReply } from './rounds/uploads.ts';
import { AppendLog } from './storage/append-log.ts';
import { MemorySpool, type Spool } from './storage/spool.ts';
import { openMemoryStore } from './storage/sqlite-store.ts';
import type { Store } from './storage/store.ts';
import { approvalsOf, committeeOf, TestClock, type TestDevice, type TestWorld } from './testing.ts';
import type { FakeHolder } from './testing-holder.ts';

export interface BenchOptions {
  readonly store?: Store;
  readonly spool?: Spool;
  readonly foldPool?: FoldPool;
  readonly clock?: TestClock;
  readonly onRoundChange?: (state: RoundState) => void;
  readonly runDirectory?: string;
}

export interface CheckInReply {
  readonly invitation?: { readonly config: Uint8Array; readonly committeeKeySignatures: readonly unknown[] };
  readonly wait?: { readonly retryAfterMs: number; readonly reason: string };
  readonly finished?: { readonly reason: string; readonly modelHash: Uint8Array };
}

/** A sealed update, ready to be sent in any order of chunks. */
export interface Sealed {
  readonly digits: Int32Array;
  /** With the binding that it was signed for, which does not travel. */
  readonly header: UploadHeader & RoundBinding;
  /** c0 ‖ c1. */
  readonly bytes: Uint8Array;
}

export class Bench {
  readonly world: TestWorld;
  readonly clock: TestClock;
  readonly store: Store;
  readonly services: RoundServices;
  readonly coordinator: Coordinator;
  readonly ledger: BudgetLedger;
  readonly log: AppendLog;
  readonly outcomes = new Map<string, PlanOutcome>();
  /** Every log line of level warn or error. */
  readonly complaints: string[] = [];
  readonly #rounds: ServedService;
  readonly #admin: ServedService;
  #running: Promise<void> | null = null;

  constructor(world: TestWorld, holders: readonly FakeHolder[], options: BenchOptions = {}) {
    const { suite } = world;
    this.world = world;
    this.clock = options.clock ?? new TestClock();
    this.store = options.store ?? openMemoryStore();
    const { store, clock } = this;
    store.migrate('rounds', ROUNDS_MIGRATIONS);
    this.ledger = new BudgetLedger(store);
    this.log = new AppendLog(store, { origin: 'test.example/log' });
    const nowMs = () => clock.nowMs();
    const budget = new RoundBudget({ store, ledger: this.ledger, log: this.log, suite, nowMs });
    const complain = (_fields: unknown, text?: string) => void this.complaints.push(text ?? '');
    this.services = {
      store,
      spool: options.spool ?? new MemorySpool(),
      ...(options.foldPool ? { foldPool: options.foldPool } : {}),
      suite,
      secagg: world.secagg,
      budget,
      clock,
      logger: { info: () => {}, warn: complain, error: complain },
      signingKey: world.coordinatorKey,
      holdersOf: (parsed) =>
        parsed.plan.holders.map(({ id }) => {
          const holder = holders.find((one) => one.holderId === id);
          if (!holder) throw new PulsefoldError('PLAN_INVALID', `no holder ${id}`);
          return holder;
        }),
      async release(parsed, round) {
        releaseRound({ store, suite, budget }, parsed, round);
      },
      onRoundChange: (_parsed, state) => options.onRoundChange?.(state),
      onCeremony: () => {},
    };
    this.coordinator = new Coordinator({
      services: this.services,
      policy: { required: 1, approvers: [{ id: 'ethics', publicKey: toHex(world.approver.publicKey) }] },
      registrarSha256: world.registrarSha256,
      onPlanEnd: (parsed, outcome) => {
        this.outcomes.set(parsed.hashHex, outcome);
        if (options.runDirectory) this.export(parsed, options.runDirectory);
      },
    });
    this.#rounds = roundsService(this.services, this.coordinator);
    this.#admin = adminService(this.coordinator);
  }

  start(): this {
    this.#running = this.coordinator.run().catch((error: unknown) => {
      this.complaints.push(`plan queue stopped: ${(error as Error).message}`);
    });
    return this;
  }

  submit(parsed: ParsedPlan): void {
    this.coordinator.submitPlan(parsed.bytes, approvalsOf(this.world, parsed));
  }

  /** Ends it as a termination signal would. */
  async stop(): Promise<void> {
    this.coordinator.stop();
    await this.#running;
    await this.services.spool.close();
    this.store.close();
  }

  export(parsed: ParsedPlan, runDirectory: string): void {
    const { suite, coordinatorKey } = this.world;
    const signer: NoteSigner = {
      name: 'test.example/log',
      algorithm: suite.name === 'gm' ? 'sm2' : 'ed25519',
      publicKey: coordinatorKey.publicKey,
      sign: (message) => suite.sign(coordinatorKey.secretKey, message),
    };
    const { store, ledger, log } = this;
    exportRun({ store, ledger, log, signer, runDirectory }, parsed);
  }

  /** Calls a method of the Rounds service as `device`, as the transport would after it checked the certificate. */
  async call<Reply>(device: TestDevice, method: string, message: object): Promise<Reply> {
    const identity = { subjectId: device.deviceId, signingPublicKey: device.signing.publicKey } as Identity;
    const { certificate } = device;
    const context = { identity, certificate, signal: new AbortController().signal } as unknown as CallContext;
    return (await this.#rounds.handlers[method]!(message as never, context)) as Reply;
  }

  async admin<Reply>(method: string, message: object): Promise<Reply> {
    return (await this.#admin.handlers[method]!(message as never, {} as CallContext)) as Reply;
  }

  checkIn(
    device: TestDevice,
    parsed: ParsedPlan,
    overrides: { roundAfter?: number; waitMs?: number; pseudonym?: Uint8Array; timeMs?: number } = {},
  ): Promise<CheckInReply> {
    const fields = {
      planHash: parsed.hash,
      pseudonym: overrides.pseudonym ?? device.pseudonym(parsed.plan.epoch),
      timeMs: overrides.timeMs ?? this.clock.nowMs(),
    };
    const statement = checkInStatement({ ...fields, deviceId: device.deviceId });
    const signature = this.world.suite.sign(device.signing.secretKey, statement);
    const { waitMs = 10_000, roundAfter = 0 } = overrides;
    return this.call(device, 'checkIn', { ...fields, signature, waitMs, roundAfter });
  }

  /** Checks in and returns the configuration of the round it was invited to. */
  async invited(device: TestDevice, parsed: ParsedPlan, roundAfter = 0): Promise<EncodedRoundConfig> {
    const reply = await this.checkIn(device, parsed, { roundAfter });
    if (!reply.invitation) throw new Error(`not invited: ${reply.wait?.reason ?? reply.finished?.reason}`);
    return parseRoundConfig(reply.invitation.config, this.world.suite);
  }

  putChunk(device: TestDevice, sealed: Sealed, from: number, to: number): Promise<PutUploadReply> {
    const data = sealed.bytes.subarray(from, to);
    return this.call(device, 'putUpload', { header: sealed.header, offset: from, data });
  }

  /** The whole upload in one chunk. */
  put(device: TestDevice, sealed: Sealed): Promise<PutUploadReply> {
    return this.putChunk(device, sealed, 0, sealed.bytes.length);
  }
}

export const bindingOf = (config: EncodedRoundConfig): RoundBinding => ({
  planHash: fromHex(config.config.planHash),
  round: config.config.round,
  modelHash: fromHex(config.config.modelHash),
  configHash: config.hash,
  committeeKeyId: fromHex(config.config.committeeKeyId),
});

/** Signs `bytes` (c0 ‖ c1) as the upload of `device`; overrides replace signed fields. */
export function signUpload(
  world: TestWorld,
  device: TestDevice,
  binding: RoundBinding,
  parts: { readonly c0: Uint8Array; readonly c1: Uint8Array; readonly digits?: Int32Array },
): Sealed {
  const { c0, c1 } = parts;
  const digest = uploadDigest(world.suite, c0, c1);
  const statement = uploadStatement({ ...binding, deviceId: device.deviceId, digest });
  const signature = world.suite.sign(device.signing.secretKey, statement);
  const bytes = new Uint8Array(c0.length + c1.length);
  bytes.set(c0);
  bytes.set(c1, c0.length);
  const header = { ...binding, digest, signature, bodyBytes: c0.length, holderBytes: c1.length };
  return { digits: parts.digits ?? new Int32Array(0), header, bytes };
}

/** Seals slots by the scheme of the plan, which this needs for anything but plain BFV, and signs. */
export function sealFor(
  world: TestWorld,
  device: TestDevice,
  parsed: ParsedPlan,
  config: EncodedRoundConfig,
  slots: Int32Array,
): Sealed {
  const { kind, round } = config.config;
  const { publicKey } = committeeOf(world, parsed.plan, round);
  const context = { configHash: config.hash, deviceId: device.deviceId };
  const { body, holderPart } = world.secagg.seal(schemeOf(parsed, kind).scheme, context, publicKey, slots);
  return signUpload(world, device, bindingOf(config), { c0: body, c1: holderPart, digits: slots });
}

/** Encrypts digits under the round's committee key and signs. */
export function seal(
  world: TestWorld,
  device: TestDevice,
  config: EncodedRoundConfig,
  digits: Int32Array,
): Sealed {
  const parts = world.bfv.encrypt(world.committee(config.config.round).publicKey, digits);
  return signUpload(world, device, bindingOf(config), { ...parts, digits });
}
