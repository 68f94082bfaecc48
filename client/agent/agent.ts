/**
 * The client agent: joins the rounds of one approved plan until they end (DESIGN §2).
 *
 * Everything it touches is injected, so that phones, hospitals and simulators run this same code. It believes the
 * coordinator nothing that a pinned approver, a registrar, the plan's holders or its own arithmetic can say instead.
 * Trusts: its identity bundle, its pins, its configuration, the engine and sealer it was given.
 * May be called by: client/, cli/ (through join.ts), experiments/.
 */
import { toHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { getSuite, type Suite } from '../../crypto/identity/suite.ts';
import { type RandomSource, systemRandom } from '../../crypto/random.ts';
import { parse } from '../../protos/fields.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import {
  type AgentOptions,
  type AgentTiming,
  defaultTiming,
  type JoinSummary,
  type Logger,
  type RoundReport,
  silentLogger,
} from './agent-types.ts';
import { DeviceBudget } from './budget.ts';
import { type Clock, isTransient, retryWhileUnavailable, systemClock } from './clock.ts';
import { type DeviceData, requireConditions, requireData } from './eligibility.ts';
import { acceptPlan, type PlanSession } from './invitation.ts';
import { LogKeeper } from './log-keeper.ts';
import { ownPseudonym, signCheckIn } from './own-statements.ts';
import { type OwnEntry, verifyReceipt } from './receipts.ts';
import { bookReceipt, chargedText } from './reconcile.ts';
import { isDeclining, outOfPlan } from './refusals.ts';
import { checkInReply, getPlanReply, getReceiptReply, type Invitation } from './replies.ts';
import { type RoundParticipation, sealRound, sendRound, statementOf } from './round.ts';
import { type ClientState, type SealedUpload, uploadName } from './store.ts';
import { countTurn } from './turns.ts';
import { type WithdrawalExtent, type WithdrawalParts, withdraw } from './withdraw.ts';

export * from './agent-types.ts';

interface Joined {
  readonly session: PlanSession;
  readonly data: DeviceData;
  readonly pseudonym: Uint8Array;
}

type Ending = Pick<JoinSummary, 'ended' | 'reason' | 'code' | 'modelHash'>;

const interrupted: Ending = { ended: 'interrupted', reason: 'told to stop' };
const CONDITION_POLL_MS = 30_000;
const RECEIPT_POLL_MS = 500;
const [POLL_MS_MIN, POLL_MS_MAX] = [50, 5000];

export class ClientAgent {
  readonly #options: AgentOptions;
  readonly #clock: Clock;
  readonly #random: RandomSource;
  readonly #logger: Logger;
  readonly #timing: AgentTiming;
  readonly #suite: Suite;
  readonly #reports = new Map<number, RoundReport>();
  #state: ClientState | undefined;
  #budget: DeviceBudget | undefined;
  #joined: Joined | undefined;
  #log: LogKeeper | undefined;
  #declinedRound = 0;
  #running = false;

  constructor(options: AgentOptions) {
    ensure(
      options.identity.role === 'client',
      'WRONG_ROLE',
      'a client agent needs a certificate of role client',
    );
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#logger = options.logger ?? silentLogger;
    this.#timing = { ...defaultTiming, ...options.timing };
    this.#suite = getSuite(options.identity.suite);
    if (this.#random.seeded) this.#logger.warn({}, 'noise is seeded, not private');
  }

  get deviceId(): string {
    return this.#options.identity.subjectId;
  }

  /** Fetches and checks the plan, loads state and data. Idempotent. Throws PLAN_NOT_APPROVED, WRONG_PLAN, DATA_*. */
  async start(): Promise<PlanSession> {
    if (this.#joined) return this.#joined.session;
    const { rounds, policy, pins, identity, data, limits, store } = this.#options;
    this.#state ??= await store.loadState();
    this.#budget ??= new DeviceBudget(limits, this.#state.budget);
    this.#log ??= new LogKeeper({ ...this.#options, clock: this.#clock }, this.#state, this.#logger);
    const reply = parse(getPlanReply, await this.#retry(() => rounds.getPlan()));
    const session = acceptPlan(reply, { policy, pins, suite: identity.suite });
    const { plan } = session.parsed;
    await store.putPlan(session.parsed.hashHex, session.parsed.bytes);
    const deviceData = typeof data === 'function' ? await data(plan) : data;
    const pseudonym = ownPseudonym(this.#suite, identity.signing.secretKey, plan.epoch);
    this.#joined = { session, data: deviceData, pseudonym };
    this.#logger.info({ plan: plan.name, planHash: session.parsed.hashHex.slice(0, 12) }, 'plan accepted');
    return session;
  }

  /** Takes part until the plan ends, this device withdraws, or the signal is aborted. */
  async join(): Promise<JoinSummary> {
    const { parsed } = await this.start();
    await this.#resumeUploads();
    const ending = await this.#loop().catch((error: unknown): Ending => {
      // A call that was cancelled on the way out looks like a coordinator that went away.
      if (this.#options.signal?.aborted && isTransient(error)) return interrupted;
      throw error;
    });
    await this.settle(ending.ended === 'interrupted' ? 0 : this.#timing.receiptPatienceMs);
    // What was acknowledged and is still undecided: without this the next start would send those bytes again.
    if (this.#state!.undecided.some((upload) => upload.progress === 'acknowledged')) await this.#save();
    const budget = this.#budget!.report(parsed);
    const rounds = [...this.#reports.values()].sort((a, b) => a.round - b.round);
    this.#logger.info(
      { ended: ending.ended, rounds: rounds.length, epsilonSpent: budget.epsilonSpent },
      ending.reason,
    );
    return {
      deviceId: this.deviceId,
      planHash: parsed.hashHex,
      planName: parsed.plan.name,
      ...ending,
      rounds,
      budget,
      alarms: this.#state!.accounts.alarms,
    };
  }

  async #loop(): Promise<Ending> {
    for (;;) {
      if (this.#options.signal?.aborted) return interrupted;
      const refusal = (await this.#whyNotReady()) && (await this.#whyNotReadyAfterReceipts());
      if (refusal) return { ended: 'stopped', reason: refusal.message, code: refusal.code };
      const reply = await this.#checkIn();
      await this.settle();
      if (reply.outcome === 'finished') {
        const { reason, modelHash } = reply.finished;
        return {
          ended: 'finished',
          reason,
          ...(modelHash.length === 32 ? { modelHash: toHex(modelHash) } : {}),
        };
      }
      if (reply.outcome === 'wait') {
        const { retryAfterMs, reason } = reply.wait;
        if (reason.startsWith('BUDGET_EXCEEDED')) this.#logger.warn({}, reason);
        await this.#clock.sleep(clamp(retryAfterMs), this.#options.signal);
        continue;
      }
      await this.runRound(reply.invitation);
    }
  }

  /** An aborted round, or a larger cohort than feared, gives budget back: what is still undecided is settled first. */
  async #whyNotReadyAfterReceipts(): Promise<PulsefoldError | undefined> {
    await this.settle(this.#timing.receiptPatienceMs);
    return this.#whyNotReady();
  }

  /** A refusal of the device itself, or undefined when it may check in. Waits for conditions that can pass. */
  async #whyNotReady(): Promise<PulsefoldError | undefined> {
    const { session, data } = this.#joined!;
    const { plan } = session.parsed;
    const startMs = this.#clock.nowMs();
    const out = outOfPlan(this.#state!, session.parsed, startMs) ?? this.#log!.alarmOf(session);
    if (out) return out;
    for (;;) {
      try {
        requireConditions(plan, this.#options.conditions());
        break;
      } catch (error) {
        if (!isDeclining(error)) throw error;
        const spentMs = this.#clock.nowMs() - startMs;
        if (spentMs >= this.#timing.conditionPatienceMs || this.#options.signal?.aborted) return error;
        this.#logger.info({ code: error.code }, error.message);
        await this.#clock.sleep(
          Math.min(CONDITION_POLL_MS, this.#timing.conditionPatienceMs - spentMs),
          this.#options.signal,
        );
      }
    }
    try {
      requireData(plan, data, 'training');
      const kinds: RoundKind[] =
        plan.rounds.evaluation > 0 && data.evaluation ? ['training', 'evaluation'] : ['training'];
      if (kinds.some((kind) => this.#budget!.fits(session.parsed, kind))) return undefined;
      // Asked again for its sentence; it throws, because nothing fits.
      this.#budget!.reserve('next', session.parsed, 'training');
      throw new PulsefoldError('INTERNAL', 'the budget refused and then agreed');
    } catch (error) {
      if (isDeclining(error)) return error;
      throw error;
    }
  }

  #checkIn() {
    const { session, pseudonym } = this.#joined!;
    const { identity, rounds } = this.#options;
    const planHash = session.parsed.hash;
    return this.#retry(async () => {
      const timeMs = this.#clock.nowMs();
      const fields = { planHash, deviceId: this.deviceId, pseudonym, timeMs };
      const signature = signCheckIn(this.#suite, identity.signing.secretKey, fields);
      const waitMs = this.#timing.checkInWaitMs;
      const roundAfter = Math.max(this.#finishedRound(), this.#declinedRound);
      return parse(
        checkInReply,
        await rounds.checkIn({ planHash, pseudonym, timeMs, signature, waitMs, roundAfter }),
      );
    });
  }

  #finishedRound(): number {
    return this.#state!.finishedRounds[this.#joined!.session.parsed.hashHex] ?? 0;
  }

  /**
   * One round, from invitation to an answered upload; receipts come later (`settle`). A reason of the device itself is
   * reported as `declined`. Throws what a dishonest invitation or answer deserves: WRONG_PLAN, WRONG_ROUND,
   * WRONG_CONFIG, WRONG_COMMITTEE_KEY, WRONG_MODEL, STATEMENT_CONFLICT, BAD_SIGNATURE; UNAVAILABLE after patience.
   */
  async runRound(invitation: Invitation): Promise<RoundReport> {
    await this.start();
    ensure(!this.#running, 'INTERNAL', 'a device runs one round at a time');
    this.#running = true;
    const participation = this.#participation();
    try {
      const upload = await sealRound(participation, invitation);
      return await this.#send(upload);
    } catch (error) {
      const { declined } = participation;
      if (!isDeclining(error) || !declined) throw error;
      this.#declinedRound = Math.max(this.#declinedRound, declined.round);
      this.#logger.warn({ round: declined.round, code: error.code }, error.message);
      const { code, message: reason } = error;
      return this.#report({ ...declined, outcome: 'declined', uploadBytes: 0, code, reason });
    } finally {
      this.#running = false;
    }
  }

  #participation(): RoundParticipation {
    const { session, data } = this.#joined!;
    const { identity, engine, sealer, rounds, store, conditions } = this.#options;
    return {
      session,
      identity,
      engine,
      sealer,
      transport: rounds,
      store,
      data,
      conditions,
      random: this.#random,
      clock: this.#clock,
      state: this.#state!,
      budget: this.#budget!,
      patienceMs: this.#timing.patienceMs,
      signal: this.#options.signal,
      retry: (operation) => this.#retry(operation),
      save: () => this.#save(),
      declined: undefined,
    };
  }

  /** Sends stored bytes and remembers the answer. A refusal by the coordinator leaves the charge standing. */
  async #send(upload: SealedUpload): Promise<RoundReport> {
    const { round, kind } = upload;
    const uploadBytes = upload.bodyBytes + upload.holderBytes;
    const answer = await sendRound(this.#participation(), upload);
    Object.assign(upload, answer.changes);
    const { refusal } = answer;
    // An acknowledgement needs no write of its own: after a crash, asking again gets the same one.
    if (upload.progress !== 'acknowledged') await this.#save();
    if (refusal) this.#logger.warn({ round, code: refusal.code }, refusal.message);
    else this.#logger.info({ round, kind, uploadBytes, progress: upload.progress }, 'update sent');
    const why = refusal ? { code: refusal.code, reason: refusal.message } : {};
    return this.#report({ round, kind, outcome: 'undecided', uploadBytes, ...why });
  }

  /** After a restart: whatever was sealed and not answered goes out first, byte for byte. */
  async #resumeUploads(): Promise<void> {
    const { parsed } = this.#joined!.session;
    if (outOfPlan(this.#state!, parsed, this.#clock.nowMs())) return;
    for (const upload of this.#state!.undecided)
      if (upload.planHash === parsed.hashHex && upload.progress === 'sealed') await this.#send(upload);
  }

  /** Settles undecided rounds by verified receipts; what is open after `patienceMs` stays charged meanwhile. */
  async settle(patienceMs = 0): Promise<void> {
    await this.start();
    const planHash = this.#joined!.session.parsed.hashHex;
    const startMs = this.#clock.nowMs();
    for (const upload of [...this.#state!.undecided]) {
      if (upload.planHash !== planHash || upload.progress === 'sealed') continue;
      for (;;) {
        const retryAfterMs = await this.#settleOne(upload);
        const overdue = this.#clock.nowMs() - startMs >= patienceMs;
        if (retryAfterMs === undefined || overdue || this.#options.signal?.aborted) break;
        await this.#clock.sleep(clamp(retryAfterMs), this.#options.signal);
      }
    }
    const leftMs = patienceMs - (this.#clock.nowMs() - startMs);
    if (await this.#log!.recheck(this.#joined!.session, (round) => this.#askReceipt(round), leftMs))
      await this.#save();
  }

  async #askReceipt(round: number) {
    const { session, pseudonym } = this.#joined!;
    const charged = chargedText(this.#state!.accounts, toHex(pseudonym));
    const logSizeSeen = this.#log!.sizeSeen(session);
    const request = { planHash: session.parsed.hash, round, logSizeSeen, charged };
    return parse(getReceiptReply, await this.#options.rounds.getReceipt(request));
  }

  /** undefined: settled, or nothing to wait for. Otherwise: when to ask again. */
  async #settleOne(upload: SealedUpload): Promise<number | undefined> {
    const { session, pseudonym } = this.#joined!;
    const { parsed } = session;
    const { round, kind } = upload;
    const base = { round, kind, uploadBytes: upload.bodyBytes + upload.holderBytes };
    try {
      const reply = await this.#askReceipt(round);
      if (reply.receipt.length === 0) return reply.retryAfterMs;
      const entry: OwnEntry = {
        statement: statementOf(upload, this.deviceId),
        pseudonym,
      };
      const { receipt, effect, cohortCount } = verifyReceipt(session, entry, reply.receipt, reply.signature);
      const name = uploadName(upload);
      if (effect === 'charged') this.#budget!.settle(name, parsed, kind, cohortCount);
      if (effect === 'released') {
        this.#budget!.release(name, parsed);
        this.#state!.turns = countTurn(this.#state!, upload.planHash, kind, -1);
      }
      await this.#options.store.putReceipt(name, { receipt: reply.receipt, signature: reply.signature });
      await this.#log!.check(session, receipt, reply);
      const charged = { parsed, kind, cohortCount, receipt, reserved: this.#budget!.reserved(parsed) };
      const booked = effect === 'charged' ? bookReceipt(this.#state!, charged, this.#logger) : {};
      this.#state!.undecided = this.#state!.undecided.filter((other) => other !== upload);
      await this.#save();
      await this.#options.store.removeUpload(name);
      const reason = receipt.reason ?? receipt.abort?.reason;
      this.#logger.info({ round, outcome: receipt.outcome, cohortCount, effect }, 'receipt verified');
      const why = { ...(reason ? { reason } : {}), ...booked };
      this.#report({ ...base, outcome: receipt.outcome, cohortCount, ...why });
    } catch (error) {
      if (!isPulsefoldError(error)) throw error;
      // A coordinator that is gone after the last round must not hold the device for long: `settle` decides.
      if (isTransient(error)) return RECEIPT_POLL_MS;
      // An upload that was refused has no receipt; the refusal says more than its absence.
      if (upload.progress === 'refused' && error.code === 'NOT_FOUND') return undefined;
      const sentence = `the receipt proves nothing, the charge stands: ${error.message}`;
      this.#logger.warn({ round, code: error.code }, sentence);
      this.#report({ ...base, outcome: 'undecided', code: error.code, reason: error.message });
    }
    return undefined;
  }

  /** What a person's rights work on. */
  async rights(): Promise<WithdrawalParts> {
    await this.start();
    const { identity, rounds: transport } = this.#options;
    const shared = { save: () => this.#save(), nowMs: () => this.#clock.nowMs() };
    return { ...this.#joined!, identity, state: this.#state!, transport, ...shared };
  }

  /** Takes no further part, from now on and durably, and returns the coordinator's receipt for it (withdraw.ts). */
  withdraw = async (extent: WithdrawalExtent) => withdraw(await this.rights(), extent);

  #report(report: RoundReport): RoundReport {
    this.#reports.set(report.round, report);
    return report;
  }

  async #save(): Promise<void> {
    this.#state!.budget = this.#budget!.state;
    await this.#options.store.saveState(this.#state!);
  }

  #retry<T>(operation: () => Promise<T>): Promise<T> {
    return retryWhileUnavailable(operation, {
      clock: this.#clock,
      random: this.#random,
      patienceMs: this.#timing.patienceMs,
      signal: this.#options.signal,
      onRetry: (waitMs) =>
        this.#logger.warn({ waitMs: Math.round(waitMs) }, 'the coordinator is out of reach; waiting'),
    });
  }
}

const clamp = (durationMs: number): number => Math.min(POLL_MS_MAX, Math.max(POLL_MS_MIN, durationMs));
