/**
 * People's rights against the coordinator's disk: nobody is asked before consent or after leaving, what was to be
 * forgotten is nowhere, and a report says everything.
 *
 * Compared is only what the coordinator had answered before the last look at its disk: what happens between two looks
 * may stand in either order. Trusts: nothing. May be called by: inspection.ts.
 */
import type { VerifiedReport } from '../../client/agent/subject-access.ts';
import type { Database } from '../../coordinator/storage/store.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { planQuotaName } from '../../protos/plan-quota.ts';
import { type NamedIn, tablesNaming } from './database-scan.ts';
import type { DeviceProcess } from './device-process.ts';
import type { Observer } from './observer.ts';
import { type CertifiedRound, FINAL_PHASES, type PlanInspection } from './plan-inspection.ts';

export interface RightsInspectionParts {
  readonly observer: Observer;
  readonly plans: readonly PlanInspection[];
  readonly devices: readonly DeviceProcess[];
  readonly read: <T>(look: (db: Database) => T) => T;
}

/** Plan, round and device. */
interface Row {
  readonly plan: string;
  readonly round: number;
  readonly device: string;
}

const keyOf = ({ plan, round, device }: Row): string => `${plan}/${round}/${device}`;

export class RightsInspection {
  readonly #parts: RightsInspectionParts;
  readonly #parsed: ReadonlyMap<string, ParsedPlan>;
  readonly #linkOf: ReadonlyMap<string, string>;
  readonly #invited = new Set<string>();
  /** By link. */
  readonly #acknowledged = new Map<string, Set<string>>();
  readonly #certified = new Set<CertifiedRound>();
  /** Plans whose retention runs. */
  #ended: readonly PlanInspection[] = [];
  #isDue = false;

  constructor(parts: RightsInspectionParts) {
    this.#parts = parts;
    this.#parsed = new Map(parts.plans.map(({ parsed }) => [parsed.hashHex, parsed]));
    this.#linkOf = new Map(parts.devices.map(({ identity, name }) => [identity.subjectId, name]));
  }

  /** `floorMs`: the earliest that the coordinator's clock showed since the last look. */
  check(floorMs: number): void {
    const { read, observer, plans } = this.#parts;
    const rows = read((db) => ({
      invited: db.all<Row>('SELECT plan, round, device FROM invitations'),
      acknowledged: db.all<Row>('SELECT plan, round, device FROM uploads WHERE acknowledged = 1'),
    }));
    for (const row of rows.invited) this.#checkInvitation(row, floorMs);
    for (const row of rows.acknowledged) this.#checkUpload(row);
    for (const plan of plans) for (const certified of plan.certified) this.#checkCohort(certified);
    this.#countThoseWhoLeft();
    observer.rights.settle(this.#acknowledged);
  }

  /** Nothing new was found of them. */
  #countThoseWhoLeft(): void {
    const { observer, plans, devices } = this.#parts;
    for (const { name } of devices)
      for (const { parsed } of plans) {
        const left = observer.rights.leaving(name, parsed, ['settled']);
        if (left) observer.checks[left.erasure ? 'erased-stays-out' : 'withdrawn-stays-out']++;
      }
  }

  #checkInvitation(row: Row, floorMs: number): void {
    const link = this.#linkOf.get(row.device);
    if (link === undefined || this.#invited.has(keyOf(row))) return;
    this.#invited.add(keyOf(row));
    const { observer } = this.#parts;
    const parsed = this.#parsed.get(row.plan)!;
    this.#mustNotHaveLeft(link, parsed, `${link} is invited to round ${row.round}`);
    if (parsed.plan.consent === undefined) return;
    observer.check(
      'consent-comes-first',
      observer.rights.covered(link, parsed, floorMs),
      () => `${link} is invited to round ${row.round} without a consent that covers the plan`,
    );
  }

  #checkUpload(row: Row): void {
    const link = this.#linkOf.get(row.device);
    if (link === undefined) return;
    const known = this.#acknowledged.get(link) ?? new Set<string>();
    this.#acknowledged.set(link, known);
    if (known.has(keyOf(row))) return;
    this.#mustNotHaveLeft(
      link,
      this.#parsed.get(row.plan)!,
      `an upload of ${link} is taken in round ${row.round}`,
    );
    known.add(keyOf(row));
  }

  #mustNotHaveLeft(link: string, parsed: ParsedPlan, what: string): void {
    const { observer } = this.#parts;
    const left = observer.rights.leaving(link, parsed, ['settled']);
    const invariant = left?.erasure ? 'erased-stays-out' : 'withdrawn-stays-out';
    observer.check(
      invariant,
      left === undefined,
      () => `${what} after the device ${left?.erasure ? 'was erased' : 'withdrew'}`,
    );
  }

  /** Who has left is in a later cohort with what was acknowledged before, or not at all. */
  #checkCohort(certified: CertifiedRound): void {
    if (this.#certified.has(certified)) return;
    this.#certified.add(certified);
    const { observer } = this.#parts;
    const { parsed, round, cohort } = certified;
    for (const device of cohort) {
      const link = this.#linkOf.get(device)!;
      const left = observer.rights.leaving(link, parsed, ['settled']);
      if (!left) continue;
      observer.check(
        left.erasure ? 'erased-stays-out' : 'withdrawn-stays-out',
        left.standing.has(keyOf({ plan: parsed.hashHex, round, device })),
        () =>
          `round ${round} certifies an upload of ${link} that was not taken before it ${left.erasure ? 'was erased' : 'withdrew'}`,
      );
    }
  }

  /** What the coordinator told a device that it holds about it. */
  checkReport(device: DeviceProcess, { report, receipt }: VerifiedReport): void {
    const { observer, devices, plans } = this.#parts;
    const { name, identity } = device;
    const { madeMs } = receipt;
    const check = (holds: boolean, message: () => string): void =>
      observer.check('report-is-whole', holds, () => `the report to ${name} ${message()}`);
    // Of a plan that was forgotten nothing can be said any more.
    const forgotten = this.#isDue ? this.#ended.map(({ parsed }) => parsed.hashHex) : [];
    for (const { planHex, round, deviceId, digest, late, atMs } of observer.acknowledgements.values()) {
      if (late || deviceId !== identity.subjectId || atMs >= madeMs || forgotten.includes(planHex)) continue;
      const found = report.uploads.some(
        (row) => row.planHash === planHex && row.round === round && row.digest === digest && row.acknowledged,
      );
      check(found, () => `lacks the acknowledged upload of round ${round}`);
    }
    for (const { parsed, round, cohort, seenMs } of plans.flatMap((plan) => plan.certified)) {
      if (!cohort.includes(identity.subjectId) || seenMs >= madeMs || !parsed.plan.privacy) continue;
      if (forgotten.includes(parsed.hashHex)) continue;
      const charged = report.charges.some(
        (row) => row.planHash === parsed.hashHex && row.round === round && row.state === 'charged',
      );
      check(charged, () => `lacks the charge of round ${round}`);
    }
    const { consents, withdrawals } = observer.rights.taken(name, madeMs);
    for (const text of forgotten.length > 0 ? [] : consents)
      check(
        report.consents.some(({ consent }) => consent === text),
        () => 'lacks a consent',
      );
    check(report.withdrawals.length >= withdrawals, () => 'lacks a withdrawal');
    check(report.omitted.length === 0, () => `leaves out ${report.omitted[0]}`);
    // Proofs carry whole leaves of the public log, with everybody's pseudonyms.
    const said = JSON.stringify({ ...report, logProofs: [] });
    for (const other of devices) {
      if (other === device) continue;
      const pseudonym = observer.rights.pseudonymOf(other.name);
      const tells = said.includes(other.identity.subjectId) || (pseudonym && said.includes(pseudonym));
      check(!tells, () => `tells about ${other.name}`);
    }
  }

  /** Once no round is left that an erased device stands in. */
  checkForgotten(): void {
    const { observer, devices, read, plans } = this.#parts;
    const isOpen = plans.some((plan) => plan.rounds.some(({ phase }) => !FINAL_PHASES.includes(phase)));
    for (const { name, identity, isErased } of devices) {
      if (!isErased) continue;
      const found = read((db) => tablesNaming(db, identity.subjectId));
      const isPending = found.some(({ table }) => table === 'erasures_pending');
      observer.check(
        'erased-is-forgotten',
        found.length === 0 || (isPending && isOpen),
        () => `${name} was erased and still stands in ${listOf(found)}`,
      );
    }
  }

  /** Before its time nothing of an ended plan goes; afterwards nobody stands in its rounds. */
  checkRetention(isDue: boolean): void {
    const { observer, devices, read, plans } = this.#parts;
    this.#isDue = isDue;
    if (!isDue) this.#ended = plans.filter((plan) => plan.isOver && plan.parsed.plan.consent !== undefined);
    for (const { parsed } of this.#ended) {
      const { hashHex } = parsed;
      if (!isDue) this.#checkKept(hashHex);
      else
        for (const { name, identity } of devices) {
          const found = read((db) => tablesNaming(db, identity.subjectId)).filter(
            (one) => one.plan === hashHex && !outlives(one, hashHex),
          );
          observer.check(
            'retention-is-kept',
            found.length === 0,
            () => `${name} still stands in ${listOf(found)} after the retention of its plan`,
          );
        }
    }
  }

  #checkKept(planHex: string): void {
    const { observer, read } = this.#parts;
    for (const { planHex: of, round, deviceId, digest, late } of observer.acknowledgements.values()) {
      const link = this.#linkOf.get(deviceId)!;
      if (of !== planHex || late || observer.rights.asksForErasure(link)) continue;
      const kept = read((db) =>
        db.get<{ digest: string }>(
          'SELECT digest FROM uploads WHERE plan = ? AND round = ? AND device = ?',
          planHex,
          round,
          deviceId,
        ),
      );
      observer.check(
        'retention-is-kept',
        kept?.digest === digest,
        () => `${link}'s signed upload of round ${round} is gone before its time`,
      );
    }
  }
}

const listOf = (found: readonly NamedIn[]): string =>
  [...new Set(found.map(({ table }) => table))].join(', ');

/** What a person is told outlives a plan: withdrawals, and consents to a whole family. */
const outlives = ({ table, scope }: NamedIn, planHex: string): boolean =>
  table === 'withdrawals' || (table === 'consents' && scope !== planQuotaName(planHex));
