/**
 * Budgets against certificates: the coordinator's ledger, each device's own filter, and both over all plans.
 *
 * What somebody must have been charged is counted from the certificates of devices' own sealed updates; whether it stays
 * below ε says the auditor's accountant, not the filters' own. Trusts: nothing. May be called by: inspection.ts.
 */
import { epsilonOf } from '../../auditor/accountant.ts';
import type { ClientState } from '../../client/agent/store.ts';
import { BudgetLedger } from '../../coordinator/ledger/budget-ledger.ts';
import type { SqliteStore } from '../../coordinator/storage/sqlite-store.ts';
import { createFilter } from '../../crypto/dp/filter.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { accountingDelta } from '../../protos/plan-groups.ts';
import { accountPlan, realisedCharge } from '../../protos/plan-mechanism.ts';
import { planBudgetTerms } from '../../protos/plan-quota.ts';
import type { DeviceProcess } from './device-process.ts';
import type { Observer } from './observer.ts';
import type { CertifiedRound } from './plan-inspection.ts';
import { BUDGET } from './plans.ts';

/** Charges stand on a grid of 2^-40. */
const SLACK = 2 ** -38;
const EPSILON_SLACK = 1e-6;
type Order = number | 'zcdp';

const limits = new Map<string, number>();

/** What a filter of this order holds for ε. */
function limitOf(epsilon: number, order: Order): number {
  const key = `${epsilon} ${order}`;
  const limit = limits.get(key) ?? createFilter(epsilon, 1e-5, order).limit;
  limits.set(key, limit);
  return limit;
}

const inThousandths = (amount: number): string => amount.toFixed(3);

export interface BudgetInspectionParts {
  readonly observer: Observer;
  readonly plans: readonly ParsedPlan[];
  readonly disk: SqliteStore;
  readonly devices: readonly DeviceProcess[];
  readonly certified: () => readonly CertifiedRound[];
}

export class BudgetInspection {
  readonly #parts: BudgetInspectionParts;
  readonly #ledger: BudgetLedger;
  readonly #isPrivate: boolean;
  /** Of the ledger's filters. */
  readonly #order: Order;
  /** What of a device was looked at last. */
  readonly #checked = new Map<string, string>();

  constructor(parts: BudgetInspectionParts) {
    this.#parts = parts;
    this.#ledger = new BudgetLedger(parts.disk);
    const { privacy } = parts.plans[0]!.plan;
    this.#isPrivate = privacy !== null;
    this.#order = privacy ? (privacy.quota?.total.order ?? accountPlan(parts.plans[0]!)!.order) : 'zcdp';
  }

  /** Charges of the certified rounds that this device is in; of all plans, or of those for which `counts`. */
  #owed(
    { identity }: DeviceProcess,
    order: Order,
    counts: (parsed: ParsedPlan) => boolean = () => true,
  ): number {
    let owed = 0;
    for (const { parsed, kind, cohort } of this.#parts.certified())
      if (counts(parsed) && cohort.includes(identity.subjectId))
        owed += realisedCharge(parsed, kind, cohort.length, order);
    return owed;
  }

  async check(): Promise<void> {
    if (!this.#isPrivate) return;
    this.#checkLedger();
    const certified = this.#parts.certified().length;
    for (const device of this.#parts.devices) {
      const seen = `${device.disk.saves} ${certified}`;
      if (this.#checked.get(device.name) === seen) continue;
      this.#checked.set(device.name, seen);
      this.#checkPerson(device);
      // What is erased has no disk; a copy of its keys never had one.
      if (!device.isErased) await this.#checkDevice(device);
    }
  }

  #checkLedger(): void {
    for (const pseudonym of this.#ledger.pseudonyms()) {
      const { spent, reserved, limit } = this.#ledger.balance(pseudonym);
      this.#parts.observer.check(
        'ledger-within-budget',
        spent + reserved <= limit + SLACK,
        () => `${pseudonym.slice(0, 8)} has spent ${spent} and reserved ${reserved} of ${limit}`,
      );
    }
  }

  /** What all plans together have learned of one person stays within ε, and each family within its share. */
  #checkPerson(device: DeviceProcess): void {
    const { observer, plans } = this.#parts;
    const first = plans[0]!;
    const delta = first.plan.privacy!.quota ? 1e-5 : accountingDelta(first);
    const spent = epsilonOf(this.#owed(device, this.#order), this.#order, delta);
    observer.check(
      'budget-spans-plans',
      spent <= Number(BUDGET.epsilon) + EPSILON_SLACK,
      () =>
        `${device.name} is certified in rounds worth ε = ${inThousandths(spent)} of ${BUDGET.epsilon}, over all plans`,
    );
    for (const { plan } of plans) {
      const { quota } = plan.privacy!;
      if (!quota) continue;
      const owed = this.#owed(
        device,
        this.#order,
        (other) => other.plan.privacy?.quota?.family === quota.family,
      );
      const [part, whole = 1] = quota.share.split('/').map(Number);
      const share = (limitOf(Number(BUDGET.epsilon), this.#order) * part!) / whole;
      observer.check(
        'budget-spans-plans',
        owed <= share + SLACK,
        () =>
          `${device.name} is certified in rounds worth ${owed} of the ${share} that family ${quota.family} has`,
      );
    }
  }

  async #checkDevice(device: DeviceProcess): Promise<void> {
    const { observer } = this.#parts;
    const { budget }: ClientState = await device.disk.loadState();
    const state = budget.person;
    const order = state?.order ?? this.#order;
    const held = (state?.spent ?? 0) + Object.values(state?.reservations ?? {}).reduce((a, b) => a + b, 0);
    const limit = limitOf(device.epsilon, order);
    observer.check(
      'device-within-budget',
      held <= limit + SLACK,
      () => `${device.name} holds ${held} of ${limit}`,
    );
    const owed = this.#owed(device, order);
    observer.check(
      'device-charged-enough',
      held >= owed - SLACK,
      () => `${device.name} counts ${held}, its certified rounds cost ${owed}`,
    );
  }

  /** Replayed events, balances and certificates agree. `isOpen`: some round is under way still. */
  checkEnd(isOpen: boolean): void {
    const { observer, devices } = this.#parts;
    try {
      this.#ledger.verify();
      this.#ledger.replay();
    } catch (error) {
      observer.report(
        'ledger-follows-certificates',
        `the ledger does not replay: ${(error as Error).message}`,
      );
    }
    if (!this.#isPrivate) return;
    const owed = new Map<string, number>();
    for (const device of devices) {
      const pseudonym = observer.rights.pseudonymOf(device.name);
      if (pseudonym !== undefined) owed.set(pseudonym, this.#owed(device, this.#order));
    }
    for (const pseudonym of this.#ledger.pseudonyms()) {
      const { spent, reserved } = this.#ledger.balance(pseudonym);
      const due = owed.get(pseudonym) ?? 0;
      observer.check(
        'ledger-follows-certificates',
        Math.abs(spent - due) <= SLACK && (isOpen || reserved <= SLACK),
        () =>
          `${pseudonym.slice(0, 8)} was charged ${spent} (reserved ${reserved}), its certificates cost ${due}`,
      );
    }
  }

  /** Whether the ledger has room for this device in another round of the plan, at its worst. */
  canAfford(device: DeviceProcess, parsed: ParsedPlan): boolean {
    if (!this.#isPrivate || !parsed.plan.privacy?.quota) return true;
    const order = this.#order;
    const { cohortMin } = parsed.plan.rounds;
    const charge = realisedCharge(parsed, 'training', cohortMin, order);
    const { filter, quotas } = planBudgetTerms(parsed, { order, delta: 1e-5 });
    const fits = (limit: number, spent: number): boolean => spent + charge <= limit + SLACK;
    const families = quotas.map(({ name, limit }) =>
      fits(
        limit,
        this.#owed(device, order, (other) =>
          name.startsWith('plan:')
            ? other.hashHex === parsed.hashHex
            : other.plan.privacy?.quota?.family === parsed.plan.privacy?.quota?.family,
        ),
      ),
    );
    return families.every(Boolean) && fits(limitOf(Number(filter.epsilon), order), this.#owed(device, order));
  }
}
