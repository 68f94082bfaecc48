/**
 * Four key holders for signed devices without a seal: the real service checks every certificate, statement, cohort and root
 * and signs what it accepted; only what a seal is about, seeds, ceremonies and partial sums, is local-holders.ts'.
 *
 * Two of the service's rules are taken out (keyholder/rules.ts): entries bring no seeds. What it remembers lies in this
 * process and goes with the round. Trusts: nothing that a real holder would not, but for that. May be called by:
 * experiments/simulation.
 */
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { equalBytes } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { getSuite, type Suite } from '../../crypto/identity/suite.ts';
import { randomBytes } from '../../crypto/random.ts';
import { noHooks, PlanBook } from '../../keyholder/context.ts';
import { Custody } from '../../keyholder/custody.ts';
import { type HolderRules, holderRules } from '../../keyholder/rules.ts';
import { KeyHolderService } from '../../keyholder/service.ts';
import type { AcceptedEntry, HolderStore, RoundRef, StoredStatement } from '../../keyholder/store.ts';
import { localHolders } from './local-holders.ts';
import { type HolderKeys, type Parties, policyOf } from './parties.ts';
import { unnamed } from './real-holders.ts';
import type { RandomOf } from './seeds.ts';
import { sharedVerification } from './shared-verification.ts';

const NONE = new Uint8Array(0);

interface HeldRound {
  readonly keyId: Uint8Array;
  readonly byDevice: Map<string, AcceptedEntry>;
  readonly byDigest: Map<string, string>;
  statement: StoredStatement | undefined;
  isErased: boolean;
}

type Store = Omit<
  Pick<HolderStore, keyof HolderStore>,
  | 'ceremonyStep'
  | 'putCeremonyStep'
  | 'ceremonyState'
  | 'putCeremonyState'
  | 'deleteCeremonyState'
  | PartialOf
>;
type PartialOf = 'partial' | 'anyPartial' | 'putPartial' | 'entries';

const keyOf = (digest: Uint8Array): string => Buffer.from(digest).toString('latin1');

/** The same entry, with what is the same in another one not kept twice. */
function sharingFields(entry: AcceptedEntry, other: AcceptedEntry | undefined): AcceptedEntry {
  const same = (field: 'modelHash' | 'configHash' | 'committeeKeyId') =>
    other && equalBytes(other[field], entry[field]) ? other[field] : entry[field];
  const [modelHash, configHash, committeeKeyId] = [
    same('modelHash'),
    same('configHash'),
    same('committeeKeyId'),
  ];
  return { ...entry, modelHash, configHash, committeeKeyId };
}

/** What keyholder/store.ts keeps in a database, of one plan. */
class HeldEntries implements Store {
  #plan: { readonly hash: Uint8Array; readonly bytes: Uint8Array } | undefined;
  readonly #rounds = new Map<number, HeldRound>();
  readonly entries = {
    get: (at: RoundRef, deviceId: string) => this.#round(at).byDevice.get(deviceId),
    put: (at: RoundRef, entry: AcceptedEntry) => {
      const { byDevice, byDigest } = this.#round(at);
      byDevice.set(entry.deviceId, sharingFields(entry, byDevice.values().next().value));
      byDigest.set(keyOf(entry.digest), entry.deviceId);
    },
    count: (at: RoundRef) => this.#round(at).byDevice.size,
    ownerOfDigest: (at: RoundRef, digest: Uint8Array) => this.#round(at).byDigest.get(keyOf(digest)),
    ownerOfSeed: () => undefined,
    eraseSeeds: () => {},
  };

  #round({ round }: RoundRef): HeldRound {
    const held = this.#rounds.get(round);
    ensure(held, 'NOT_FOUND', `the committee key of round ${round} is not finished`);
    return held;
  }

  plan(planHash: Uint8Array) {
    return this.#plan && equalBytes(this.#plan.hash, planHash) ? this.#plan.bytes : undefined;
  }
  putPlan(hash: Uint8Array, bytes: Uint8Array): void {
    ensure(!this.#plan || equalBytes(this.#plan.hash, hash), 'WRONG_PLAN', 'a simulation has one plan');
    this.#plan = { hash, bytes };
  }
  planCount(): number {
    return this.#plan ? 1 : 0;
  }
  committeeKey({ round }: RoundRef) {
    const held = this.#rounds.get(round);
    return held && { keyId: held.keyId, sealedShare: held.isErased ? null : NONE };
  }
  putCommitteeKey({ round }: RoundRef, keyId: Uint8Array): void {
    if (this.#rounds.has(round)) return;
    const maps = { byDevice: new Map(), byDigest: new Map() };
    this.#rounds.set(round, { keyId, ...maps, statement: undefined, isErased: false });
  }
  statement({ round }: RoundRef): StoredStatement | undefined {
    return this.#rounds.get(round)?.statement;
  }
  putStatement(at: RoundRef, stored: StoredStatement): void {
    this.#round(at).statement = stored;
  }
  isErased({ round }: RoundRef): boolean {
    return this.#rounds.get(round)?.isErased === true;
  }
  erase({ round }: RoundRef): void {
    const held = this.#rounds.get(round);
    if (!held) return;
    held.isErased = true;
    held.byDevice.clear();
    held.byDigest.clear();
  }
  unerasedUpTo({ planHash, round: last }: RoundRef): RoundRef[] {
    const rounds = [...this.#rounds].filter(([round, held]) => round <= last && !held.isErased);
    return rounds.map(([round]) => ({ planHash, round }));
  }
  /** Nothing outlives this process. */
  abortedUnerased(): RoundRef[] {
    return [];
  }
  lastCertified(): RoundRef[] {
    return [];
  }
  transaction<T>(work: () => T): T {
    return work();
  }
  truncateLog(): void {}
  close(): void {}
}

/** Entries bring no seeds. */
const unsealedRules: HolderRules = { ...holderRules, carriesSeeds: () => false, entryParts: () => {} };

export function signedHolders(
  parties: Parties,
  { nowMs, randomOf }: { readonly nowMs: () => number; readonly randomOf: RandomOf },
): HolderPort[] {
  const locals = localHolders(parties, 'none', randomOf);
  const suite = sharedVerification(getSuite(parties.suite));
  const common = { parties, suite, nowMs, randomOf };
  return parties.holderKeys.map((keys, i) => signedHolder(common, keys, locals[i]!));
}

interface Common {
  readonly parties: Parties;
  readonly suite: Suite;
  readonly nowMs: () => number;
  readonly randomOf: RandomOf;
}

function signedHolder(
  { parties, suite, nowMs, randomOf }: Common,
  { id, signing, sealing }: HolderKeys,
  local: HolderPort,
): HolderPort {
  const held = new HeldEntries();
  const store = held as unknown as HolderStore;
  const identity = { id, suite, signing, sealing };
  const registrarCaDer = parties.registrar.caDer;
  const [rules, approvals] = [unsealedRules, policyOf(parties)];
  const plans = new PlanBook({ identity, store, registrarCaDer, approvals, rules, plansMax: 1 });
  const service = new KeyHolderService({
    identity,
    store,
    custody: new Custody({ suite, storageKey: randomBytes(32), holderId: id }),
    plans,
    registrarCaDer,
    revocations: { requireFresh: () => {}, isRevoked: () => false },
    get bfv(): never {
      throw new PulsefoldError('INTERNAL', 'seal: none has no BFV');
    },
    random: randomOf(`holder/${id}`),
    nowMs,
    rules,
    hooks: noHooks,
    limits: { plansMax: 1, openingsMax: 1 },
  });
  return {
    ...portOf(local),
    async registerPlan(plan, planApprovals) {
      service.registerPlan({ plan, approvals: planApprovals });
      await local.registerPlan(plan, planApprovals);
    },
    async ceremonyStep(request) {
      const reply = await local.ceremonyStep(request);
      if (request.phase === 'FINISH') held.putCommitteeKey(request, reply.keyId);
      return reply;
    },
    accept: (planHash, round, entries) =>
      service.accept({ planHash, round, entries: entries.map(withoutParts) }),
    async certify(request) {
      const signed = service.certify(request);
      // It opens what was certified.
      await local.certify(request);
      return signed;
    },
    abort: async (planHash, round, reason) => service.abort({ planHash, round, reason }),
    async erase(planHash, round) {
      service.erase({ planHash, round });
      await local.erase(planHash, round);
    },
  };
}

/** Methods of a class are not copied by `...`. */
const portOf = (port: HolderPort): HolderPort => ({
  holderId: port.holderId,
  registerPlan: (...call) => port.registerPlan(...call),
  ceremonyStep: (...call) => port.ceremonyStep(...call),
  accept: (...call) => port.accept(...call),
  certify: (...call) => port.certify(...call),
  abort: (...call) => port.abort(...call),
  draw: (...call) => port.draw(...call),
  open: (...call) => port.open(...call),
  erase: (...call) => port.erase(...call),
});

/** The one byte that stands for a holder part (plain-sums.ts) is nothing to a holder. */
const withoutParts = (entry: object): object => ({
  ...unnamed(entry),
  bodyDigest: NONE,
  holderPart: NONE,
});
