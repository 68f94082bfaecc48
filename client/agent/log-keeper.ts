/**
 * Keeps what a device knows of the coordinator's log: the checkpoint it saw last, alarms, proofs that still wait for
 * witnesses. log-watch.ts decides; this remembers.
 *
 * Trusts: the client state it is given, which the agent saves. May be called by: agent.ts.
 */
import { isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { Receipt } from '../../protos/receipt.ts';
import type { AgentOptions, Logger } from './agent-types.ts';
import { type Clock, isTransient } from './clock.ts';
import type { PlanSession } from './invitation.ts';
import { type ExpectedLeaf, ForkedLogError, type LogReply, sizeOfSeen, verifyLogReply } from './log-watch.ts';
import { type ClientState, type LogState, uploadName } from './store.ts';

const RECHECK_MS = 500;
/** As many as the state holds; the oldest go first. */
const UNWITNESSED_MAX = 1000;

type KeeperOptions = Pick<AgentOptions, 'logPolicy' | 'continueAfterLogAlarm' | 'store' | 'signal'> & {
  readonly clock: Clock;
};

export class LogKeeper {
  readonly #options: KeeperOptions;
  readonly #state: LogState;
  readonly #logger: Logger;

  constructor(options: KeeperOptions, state: Pick<ClientState, 'log'>, logger: Logger) {
    this.#options = options;
    this.#state = state.log;
    this.#logger = logger;
  }

  /** Why this device takes part no more, if the log of this plan's coordinator has raised an alarm. */
  alarmOf({ parsed }: PlanSession): PulsefoldError | undefined {
    const alarm = this.#state.alarms[parsed.plan.coordinatorPublicKey];
    if (!alarm || this.#options.continueAfterLogAlarm) return undefined;
    return new PulsefoldError('LOG_INCONSISTENT', alarm.reason);
  }

  /** Leaves of the largest checkpoint of this coordinator's log that was verified. */
  sizeSeen({ parsed }: PlanSession): number {
    return sizeOfSeen(this.#state.seen[parsed.plan.coordinatorPublicKey]);
  }

  /** Checks the log's part of a verified receipt and stores the proof. Changes the state; the caller saves it. */
  async check(session: PlanSession, receipt: Receipt, reply: LogReply): Promise<void> {
    const { round } = receipt;
    if (reply.tlogProof.length === 0) {
      if (this.#options.logPolicy)
        this.#logger.warn({ round }, 'the receipt came without a proof of logging');
      return;
    }
    await this.#verify(session, round, { receipt }, reply);
  }

  /** Asks again for proofs that lack the policy's quorum, for `patienceMs`; true when the state changed. */
  async recheck(
    session: PlanSession,
    ask: (round: number) => Promise<LogReply>,
    patienceMs: number,
  ): Promise<boolean> {
    const { clock, signal } = this.#options;
    const startMs = clock.nowMs();
    let changed = false;
    for (;;) {
      for (const { round, leafHash } of this.#waiting(session)) {
        try {
          const reply = await ask(round);
          if (reply.tlogProof.length > 0)
            changed = (await this.#verify(session, round, { leafHash }, reply)) || changed;
        } catch (error) {
          if (!isTransient(error) && !isPulsefoldError(error)) throw error;
        }
      }
      const over = clock.nowMs() - startMs >= patienceMs || signal?.aborted === true;
      if (over || this.#waiting(session).length === 0) return changed;
      await clock.sleep(RECHECK_MS, signal);
    }
  }

  #waiting({ parsed }: PlanSession): LogState['unwitnessed'] {
    return this.#state.unwitnessed.filter(({ planHash }) => planHash === parsed.hashHex);
  }

  /** True when the state changed. A reply that proves nothing is said and changes nothing. */
  async #verify(
    session: PlanSession,
    round: number,
    expected: ExpectedLeaf,
    reply: LogReply,
  ): Promise<boolean> {
    const key = session.parsed.plan.coordinatorPublicKey;
    const planHash = session.parsed.hashHex;
    const waited = this.#state.unwitnessed.length;
    const seen = this.#state.seen[key];
    try {
      const { logPolicy: policy, store } = this.#options;
      const verdict = verifyLogReply(session, expected, reply, { seen, policy });
      this.#state.seen[key] = verdict.seen;
      await store.putLogProof(uploadName({ planHash, round }), reply.tlogProof);
      const others = this.#state.unwitnessed.filter(
        (one) => one.planHash !== planHash || one.round !== round,
      );
      const { leafHash } = verdict;
      this.#state.unwitnessed = verdict.witnessed
        ? others
        : [...others.slice(1 - UNWITNESSED_MAX), { planHash, round, leafHash }];
      this.#logger.info({ round, witnesses: verdict.witnesses.length }, 'the round stands in the log');
      return this.#state.seen[key] !== seen || this.#state.unwitnessed.length !== waited;
    } catch (error) {
      if (!isPulsefoldError(error)) throw error;
      this.#logger.warn({ round, code: error.code }, error.message);
      if (!(error instanceof ForkedLogError)) return false;
      this.#state.alarms[key] ??= { reason: error.message, notes: [...error.notes] };
      return true;
    }
  }
}
