/**
 * The key holder's service: one method per RPC, each taking an unparsed message.
 *
 * For: server.ts, and tests that run a committee in one process. Trusts: what context.ts says; callers have
 * been admitted by role before, but whatever they send is hostile. May be called by: keyholder/ only.
 */
import { toHex } from '../crypto/bytes.ts';
import { ensure, isPulsefoldError } from '../crypto/error.ts';
import { parse } from '../protos/fields.ts';
import {
  type AcceptReply,
  type CeremonyStepReply,
  type DrawReply,
  eraseRequestSchema,
  type OpenReply,
  registerPlanRequestSchema,
  type StatementReply,
} from '../protos/keyholder-messages.ts';
import { type Plan, parsePlanBytes } from '../protos/plan.ts';
import { accept } from './acceptance.ts';
import { ceremonyStep } from './ceremonies.ts';
import { abort, certify, eraseLeftBehind } from './certification.ts';
import type { HolderContext } from './context.ts';
import { draw, open } from './opening.ts';
import type { RoundRef } from './store.ts';

export class KeyHolderService {
  readonly #context: HolderContext;
  #openings = 0;

  constructor(context: HolderContext) {
    this.#context = context;
    // A crash between a statement and the erasure it entails, or between erasure and truncation, is made good here.
    for (const at of context.store.abortedUnerased()) context.store.erase(at);
    for (const at of context.store.lastCertified()) this.#eraseLeftBehind(at);
    context.store.truncateLog();
  }

  /**
   * By what stands in the plan alone: a holder started with another's configuration must not take its rounds for ones that
   * follow one another, and erase the keys of those that are open.
   */
  #eraseLeftBehind(certified: RoundRef): void {
    const { store } = this.#context;
    const plan = this.#storedPlan(certified.planHash);
    if (plan) eraseLeftBehind(this.#context, plan, certified);
    // A plan that this version no longer reads goes no further.
    else for (const at of store.unerasedUpTo({ ...certified, round: certified.round - 1 })) store.erase(at);
  }

  #storedPlan(planHash: Uint8Array): Plan | undefined {
    const bytes = this.#context.store.plan(planHash);
    try {
      return bytes && parsePlanBytes(bytes).plan;
    } catch (error) {
      if (!isPulsefoldError(error)) throw error;
      return undefined;
    }
  }

  getHolderInfo(): { holderId: string; signingPublicKey: Uint8Array; sealingPublicKey: Uint8Array } {
    const { id, signing, sealing } = this.#context.identity;
    return { holderId: id, signingPublicKey: signing.publicKey, sealingPublicKey: sealing.publicKey };
  }

  registerPlan(message: unknown): { planHash: Uint8Array } {
    const request = parse(registerPlanRequestSchema, message);
    return { planHash: this.#context.plans.register(request.plan, request.approvals).parsed.hash };
  }

  /**
   * A plan names its coordinator's key; another enrolled coordinator may neither erase nor abort nor certify its
   * rounds. Throws WRONG_ROLE; a malformed or unknown plan hash is left to the method's own parser.
   */
  requireCoordinator(planHash: unknown, callerKey: Uint8Array | undefined): void {
    if (!(planHash instanceof Uint8Array) || planHash.length !== 32) return;
    const { plan } = this.#context.plans.get(planHash).parsed;
    ensure(
      callerKey !== undefined && toHex(callerKey) === plan.coordinatorPublicKey,
      'WRONG_ROLE',
      'the plan names another coordinator than the caller',
    );
  }

  ceremonyStep(message: unknown): CeremonyStepReply {
    return ceremonyStep(this.#context, message);
  }

  accept(message: unknown): Promise<AcceptReply> {
    return accept(this.#context, message);
  }

  certify(message: unknown): StatementReply {
    return certify(this.#context, message);
  }

  abort(message: unknown): StatementReply {
    return abort(this.#context, message);
  }

  /** Throws UNAVAILABLE beyond `openingsMax` at a time. */
  open(messages: AsyncIterable<unknown>, signal?: AbortSignal): Promise<OpenReply> {
    return this.#limited(() => open(this.#context, messages, signal));
  }

  /** The same limit, counted together. */
  draw(messages: AsyncIterable<unknown>, signal?: AbortSignal): Promise<DrawReply> {
    return this.#limited(() => draw(this.#context, messages, signal));
  }

  async #limited<Reply>(answer: () => Promise<Reply>): Promise<Reply> {
    const { openingsMax } = this.#context.limits;
    ensure(
      this.#openings < openingsMax,
      'UNAVAILABLE',
      `this holder opens ${openingsMax} sums at a time: try later`,
    );
    this.#openings++;
    try {
      return await answer();
    } finally {
      this.#openings--;
    }
  }

  /** Forgets the round's key for good; asked again, says so again. */
  erase(message: unknown): { erased: boolean } {
    const request = parse(eraseRequestSchema, message);
    this.#context.plans.round(request);
    this.#context.store.erase(request);
    return { erased: true };
  }
}
