/**
 * Where the attacks of attack-*.test.ts take place: a federation, its committee with one key and no round yet, honest
 * people who have sealed their updates; and forks of the committee, as it is or weakened by name.
 *
 * For *.test.ts here only.
 */
import { type CommitteeKey, runCeremony } from '../../coordinator/rounds/ceremonies.ts';
import type { Entry, HolderPort } from '../../coordinator/rounds/holder-port.ts';
import type { SumScheme } from '../../crypto/secagg/scheme.ts';
import type { HolderRules } from '../../keyholder/rules.ts';
import { Committee, type TestHolderOptions } from '../../keyholder/testing.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import {
  AttackedRound,
  createUpdate,
  type RoundEnd,
  type RoundOptions,
  type Shown,
  schemeOfWorld,
  signUpdate,
  type Update,
} from './testing-attacks.ts';
import {
  createFederation,
  createIdentity,
  type FederationOptions,
  type FederationWorld,
  portOf,
} from './testing-federation.ts';

type Weakening = TestHolderOptions | ((index: number) => TestHolderOptions);

export class Stage {
  readonly world: FederationWorld;
  readonly base: Committee;
  /** Of round 1. */
  readonly key: CommitteeKey;
  /** Honest people in the order of their ids. */
  readonly honest: readonly Update[];
  readonly #forks: Committee[] = [];

  private constructor(
    world: FederationWorld,
    base: Committee,
    key: CommitteeKey,
    identities: readonly IdentityBundle[],
  ) {
    this.world = world;
    this.base = base;
    this.key = key;
    this.honest = identities.map((identity, i) => this.update(identity, i));
  }

  static async open(options: FederationOptions, people = 4): Promise<Stage> {
    const world = await createFederation(options);
    const base = new Committee(world);
    const key = await runCeremony(world.parsed, 1, base.holders.map(portOf));
    const identities = await Promise.all(Array.from({ length: people }, () => createIdentity(world)));
    return new Stage(world, base, key, identities.sort(byId));
  }

  close(): void {
    for (const committee of [this.base, ...this.#forks]) committee.close();
  }

  get scheme(): SumScheme {
    return schemeOfWorld(this.world);
  }

  get slotCount(): number {
    return this.scheme.slotCount;
  }

  digits(number: number): Int32Array {
    return Int32Array.from({ length: this.slotCount }, (_, i) => ((i * 37 + number * 101) % 401) - 200);
  }

  update(identity: IdentityBundle, number: number, shown: Shown = {}, key = this.key): Update {
    return createUpdate(this.world, key, identity, this.digits(number), shown);
  }

  /** What the coordinator shows a holder of this update. */
  entry(update: Update): Entry {
    return {
      ...signUpdate(this.world, update),
      certificate: update.identity.certificate,
      bodyDigest: this.world.suite.digest(update.body),
      holderPart: update.holderPart,
    };
  }

  /** The committee with its key and no round yet. */
  fork(options: Weakening = {}): Committee {
    const fork = this.base.fork(options);
    this.#forks.push(fork);
    return fork;
  }

  ports(options: Weakening = {}): HolderPort[] {
    return this.fork(options).holders.map(portOf);
  }

  get lastFork(): Committee {
    return this.#forks.at(-1)!;
  }

  play(
    holders: readonly HolderPort[],
    updates: readonly Update[],
    options: RoundOptions = {},
    key = this.key,
  ): Promise<RoundEnd> {
    const terms = { cohortTarget: updates.length, ...options.terms };
    return new AttackedRound(this.world, key, holders, { ...options, terms }).play(updates);
  }
}

const byId = (a: IdentityBundle, b: IdentityBundle): number => (a.subjectId < b.subjectId ? -1 : 1);

export const without = (rules: Partial<HolderRules>): TestHolderOptions => ({ rules });
export const none = (): void => {};

export const add = (vectors: readonly Int32Array[]): Int32Array =>
  vectors.reduce((sum, vector) => sum.map((value, i) => value + vector[i]!));
export const minus = (a: Int32Array, b: Int32Array): Int32Array => a.map((value, i) => value - b[i]!);
export const plain = (updates: readonly Update[]): Int32Array => add(updates.map(({ digits }) => digits));
