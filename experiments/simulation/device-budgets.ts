/**
 * The devices' own filters (crypto/dp/filter.ts), as two numbers each in flat arrays.
 *
 * What client/agent/budget.ts does for one device: a round's worst case is set aside before anything is trained; a
 * certificate settles it at what it really cost, an abort or a certificate without the device frees it. All charges stand on
 * the filter's grid, so sums of doubles are exact.
 * Trusts: its caller to settle what it reserved. May be called by: experiments/simulation.
 */
import { canReserve, createFilter, roundCharge } from '../../crypto/dp/filter.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { accountPlan, epsilonOfAmount, realisedCharge } from '../../protos/plan-mechanism.ts';
import type { RoundKind } from '../../protos/round-config.ts';

export interface DeviceLimits {
  readonly epsilon: number;
  readonly delta: number;
}

export class DeviceBudgets {
  readonly #parsed: ParsedPlan;
  readonly #limits: DeviceLimits | undefined;
  readonly #order: number | 'zcdp' | null;
  readonly #limit: number;
  readonly #spent: Float64Array;
  readonly #held: Float64Array;

  /** `limits`: what every device allows; without them what the plan states. */
  constructor(parsed: ParsedPlan, devices: number, limits?: DeviceLimits) {
    this.#parsed = parsed;
    this.#limits = limits;
    const account = accountPlan(parsed);
    this.#order = account?.order ?? null;
    this.#spent = new Float64Array(account ? devices : 0);
    this.#held = new Float64Array(account ? devices : 0);
    const { privacy } = parsed.plan;
    const number = (text: string) => rationalToNumber(parseRational(text));
    this.#limit =
      account && privacy
        ? createFilter(
            limits?.epsilon ?? number(privacy.epsilon),
            limits?.delta ?? account.delta,
            account.order,
          ).limit
        : 0;
  }

  /** Sets a round aside; false where it does not fit, and then the device takes no part. */
  reserve(device: number, kind: RoundKind): boolean {
    if (this.#order === null) return true;
    const charge = this.#worst(kind);
    const [spent, reserved] = [this.#spent[device]!, this.#held[device]!];
    if (!canReserve({ order: this.#order, limit: this.#limit, spent, reserved }, charge)) return false;
    this.#held[device] = reserved + charge;
    return true;
  }

  #worst(kind: RoundKind): number {
    return roundCharge(accountPlan(this.#parsed)!.charge[kind]);
  }

  /** The round ended; `cohortCount` for those that a certificate names, null for those whose reservation is free again. */
  settle(devices: Iterable<number>, kind: RoundKind, cohortCount: number | null): void {
    if (this.#order === null) return;
    const worst = this.#worst(kind);
    const paid =
      cohortCount === null
        ? 0
        : Math.min(worst, roundCharge(realisedCharge(this.#parsed, kind, cohortCount, this.#order)));
    for (const device of devices) {
      this.#held[device] = this.#held[device]! - worst;
      this.#spent[device] = this.#spent[device]! + paid;
    }
  }

  /** ε of the device that has spent most; null without differential privacy. */
  epsilonSpent(): number | null {
    if (this.#order === null) return null;
    let most = 0;
    for (const spent of this.#spent) if (spent > most) most = spent;
    return epsilonOfAmount(this.#order, most, this.#limits?.delta ?? accountPlan(this.#parsed)!.delta);
  }
}
