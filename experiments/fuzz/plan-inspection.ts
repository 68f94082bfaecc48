/**
 * The rounds of one plan against what devices sealed and holders signed: certificates, sums, groups, acknowledgements.
 *
 * An erased device has no rows in ended rounds; who it was there is found again by the leaf that stays. Trusts: nothing.
 * May be called by: inspection.ts.
 */
import * as repository from '../../coordinator/rounds/repository.ts';
import type { Database } from '../../coordinator/storage/store.ts';
import { equalBytes, fromHex, toHex } from '../../crypto/bytes.ts';
import { centredResidue } from '../../crypto/dp/digits.ts';
import { leafHash, merkleRoot } from '../../crypto/log/merkle.ts';
import { agreedDraws, partitionOf, partitionSeed } from '../../crypto/secagg/shares/index.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import { certificateStatement, entryLeaf, type RoundBinding } from '../../protos/statements.ts';
import type { Observer } from './observer.ts';

const CERTIFIED_PHASES: readonly string[] = ['opening', 'opened', 'released', 'unopened'];
export const FINAL_PHASES: readonly string[] = ['released', 'unopened', 'aborted'];
const HASH_BYTES = 32;

export interface CertifiedRound {
  readonly parsed: ParsedPlan;
  readonly round: number;
  readonly kind: RoundKind;
  /** Devices that were erased since have their ids here still. */
  readonly cohort: readonly string[];
  readonly digests: readonly string[];
  readonly root: Uint8Array;
  /** By the coordinator's clock. */
  readonly seenMs: number;
}

export interface PlanInspectionParts {
  readonly observer: Observer;
  readonly parsed: ParsedPlan;
  readonly read: <T>(look: (db: Database) => T) => T;
  /** What the log says about the end of a round. */
  readonly endingOf: (planHex: string, round: number) => string | undefined;
  /** Devices whose rows may be gone. */
  readonly isForgotten: (deviceId: string) => boolean;
  readonly clockMs: () => number;
}

interface Member {
  readonly deviceId: string;
  readonly digest: string;
}

export class PlanInspection {
  readonly parsed: ParsedPlan;
  readonly #parts: PlanInspectionParts;
  readonly #certified = new Map<number, CertifiedRound>();
  readonly #summed = new Set<number>();

  constructor(parts: PlanInspectionParts) {
    this.#parts = parts;
    this.parsed = parts.parsed;
  }

  get rounds(): ReturnType<typeof repository.listRounds> {
    return this.#parts.read((db) => repository.listRounds(db, this.parsed.hashHex));
  }

  get row(): repository.PlanRow | undefined {
    return this.#parts.read((db) => repository.getPlan(db, this.parsed.hashHex));
  }

  get certified(): readonly CertifiedRound[] {
    return [...this.#certified.values()];
  }

  /** Finished or failed. */
  get isOver(): boolean {
    const status = this.row?.status;
    return status === 'finished' || status === 'failed';
  }

  #state(row: repository.RoundRow) {
    return this.#parts.read((db) => repository.loadRoundState(db, this.parsed.hashHex, row));
  }

  /** As it stands in the database; empty before a cohort is fixed. */
  cohortOf(row: repository.RoundRow): readonly string[] {
    return this.#state(row).cohort ?? [];
  }

  check(): void {
    for (const row of this.rounds) {
      if (!CERTIFIED_PHASES.includes(row.phase)) continue;
      if (!this.#certified.has(row.round)) this.#certify(row);
      if (!this.#summed.has(row.round)) this.#checkSum(this.#certified.get(row.round)!, row);
    }
  }

  #bindingOf(row: repository.RoundRow): RoundBinding {
    return repository.bindingOfRow({ ...row, plan: this.parsed.hashHex });
  }

  /** The certificate in the log is that of the uploads which the cohort's devices sealed. */
  #certify(row: repository.RoundRow): void {
    const { observer, endingOf, clockMs } = this.#parts;
    const { round } = row;
    const { kind } = this.#state(row);
    const binding = this.#bindingOf(row);
    const members = this.#membersOf(row, binding);
    const leaves = members.map(({ deviceId, digest }) =>
      entryLeaf({ ...binding, deviceId, digest: fromHex(digest) }),
    );
    const root = merkleRoot(leaves);
    const cohort = members.map(({ deviceId }) => deviceId);
    const digests = members.map(({ digest }) => digest);
    const { parsed } = this;
    this.#certified.set(round, { parsed, round, kind, cohort, digests, root, seenMs: clockMs() });
    const wanted = `certificate ${toHex(root)} of ${cohort.length}`;
    const logged = endingOf(parsed.hashHex, round);
    observer.check(
      'one-ending-per-round',
      logged === wanted,
      () =>
        `round ${round} of plan ${parsed.hashHex.slice(0, 8)} is folded as ${wanted}, the log says ${logged}`,
    );
  }

  /** Who is in the cohort with what, also where rows say it no more. */
  #membersOf(row: repository.RoundRow, binding: RoundBinding): Member[] {
    const planHex = this.parsed.hashHex;
    const cohort = this.cohortOf(row);
    return this.#parts.read((db) => {
      const kept = db.get<{ hashes: Uint8Array }>(
        'SELECT hashes FROM cohort_leaves WHERE plan = ? AND round = ?',
        planHex,
        row.round,
      );
      return cohort.map((deviceId, i) => {
        const digest = repository.getUpload(db, planHex, row.round, deviceId)?.digest ?? '';
        if (digest !== '' || !kept) return { deviceId, digest };
        const hash = kept.hashes.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES);
        return this.#sealedUnder(row.config_hash, binding, hash) ?? { deviceId, digest };
      });
    });
  }

  /** The sealed update of a forgotten device whose leaf this is. */
  #sealedUnder(configHex: string, binding: RoundBinding, hash: Uint8Array): Member | undefined {
    const { observer, isForgotten } = this.#parts;
    for (const [digest, sealed] of observer.sealed) {
      const { deviceId } = sealed;
      if (sealed.configHex !== configHex || !isForgotten(deviceId)) continue;
      if (equalBytes(leafHash(entryLeaf({ ...binding, deviceId, digest: fromHex(digest) })), hash))
        return { deviceId, digest };
    }
    return undefined;
  }

  #checkSum(certified: CertifiedRound, row: repository.RoundRow): void {
    const { round, kind, cohort, digests } = certified;
    const { observer, read } = this.#parts;
    const stored = read((db) => repository.getSum(db, this.parsed.hashHex, round));
    if (!stored) return;
    this.#summed.add(round);
    for (const digest of digests) {
      const sealed = observer.sealed.get(digest);
      observer.check(
        'sum-is-of-the-certified',
        sealed !== undefined && cohort.includes(sealed.deviceId),
        () => `round ${round}: the certified digest ${digest.slice(0, 12)} was sealed by none of its devices`,
      );
    }
    const opened = new Int32Array(stored.digits.slice().buffer);
    if (stored.groups) this.#checkGroups(certified, row, opened, stored.groups);
    else this.#compare(kind, `round ${round}`, opened, digests, 'sum-is-of-the-certified');
  }

  /** The digits of these updates add up to what was opened. */
  #compare(
    kind: RoundKind,
    what: string,
    opened: Int32Array,
    digests: readonly string[],
    invariant: 'sum-is-of-the-certified' | 'groups-are-as-drawn',
  ): void {
    const { observer } = this.#parts;
    const expected = new Array<number>(opened.length).fill(0);
    for (const digest of digests) {
      const digits = observer.sealed.get(digest)?.digits;
      if (digits) for (let i = 0; i < expected.length; i++) expected[i]! += digits[i]!;
    }
    const { reduce } = this.#ring(kind);
    const wrong = expected.findIndex((value, i) => reduce(value) !== opened[i]);
    observer.check(
      invariant,
      wrong < 0,
      () => `${what}: digit ${wrong} opens as ${opened[wrong]}, its devices sealed ${expected[wrong]}`,
    );
  }

  /** How a sum of digits shows in a slot. */
  #ring(kind: RoundKind): { readonly reduce: (value: number) => number } {
    const { scheme } = schemeOf(this.parsed, kind);
    const { transport, long, wordBits } = scheme;
    if (long) {
      const modulus = 2 ** long.slotBits;
      return { reduce: (value) => value - modulus * Math.floor(value / modulus + 0.5) };
    }
    if (transport === 'bfv')
      return { reduce: (value) => (this.parsed.plan.privacy ? centredResidue(value) : value) };
    return { reduce: (value) => (wordBits === 16 ? (value << 16) >> 16 : value | 0) };
  }

  /** The groups are those that follow from what holders have answered, and each opens as its own devices sealed. */
  #checkGroups(
    { round, kind, cohort, digests, root }: CertifiedRound,
    row: repository.RoundRow,
    opened: Int32Array,
    facts: repository.GroupFacts,
  ): void {
    const { observer } = this.#parts;
    const { parsed } = this;
    const check = (holds: boolean, message: () => string): void =>
      observer.check('groups-are-as-drawn', holds, () => `round ${round}: ${message()}`);
    const agreed = agreedDraws(observer.draws.of(parsed.hashHex, round));
    const values = agreed.filter((value) => value !== null);
    check(values.length === agreed.length, () => 'opened in groups that no two holders drew');
    if (values.length < agreed.length) return;
    const certificate = certificateStatement({
      ...this.#bindingOf(row),
      cohortRoot: root,
      cohortCount: cohort.length,
    });
    const suite = observer.suite;
    const seed = partitionSeed(suite, certificate, values);
    const groups = partitionOf(suite, seed, cohort, facts.sizes.length);
    const sizes = groups.map((group) => group.length).join(',');
    check(facts.sizes.join(',') === sizes, () => `groups of ${facts.sizes} instead of ${sizes}`);
    check(facts.valid.every(Boolean), () => `honest groups did not open: ${facts.valid}`);
    const length = opened.length / groups.length;
    const digestOf = new Map(cohort.map((deviceId, i) => [deviceId, digests[i]!]));
    for (const [i, group] of groups.entries()) {
      const part = opened.slice(i * length, (i + 1) * length);
      const own = group.map((deviceId) => digestOf.get(deviceId)!);
      this.#compare(kind, `round ${round}, group ${i + 1}`, part, own, 'groups-are-as-drawn');
    }
  }

  /** Every acknowledged upload is in its cohort, was rejected by a holder, or lies in an aborted round. */
  checkFates(): void {
    const { observer, read, isForgotten } = this.#parts;
    const phases = new Map(this.rounds.map((row) => [row.round, row.phase]));
    for (const { planHex, round, deviceId, late } of observer.acknowledgements.values()) {
      const phase = phases.get(round) ?? '';
      if (planHex !== this.parsed.hashHex || late || phase === 'aborted' || !FINAL_PHASES.includes(phase))
        continue;
      const cohort = this.#certified.get(round)?.cohort ?? [];
      const verdicts = read((db) => repository.verdictsAbout(db, planHex, round, deviceId));
      observer.check(
        'acknowledged-stays',
        cohort.includes(deviceId) || verdicts.some(({ accepted }) => !accepted) || isForgotten(deviceId),
        () => `round ${round}: an acknowledged upload is not in the cohort, and no holder rejected it`,
      );
    }
  }
}
