/**
 * One round of the coordinator's real code (intake, machine, store, opening) with an attacker's hand on its inputs:
 * the terms that its machine plays by, the entries that it shows, the holder ports that it asks.
 *
 * For attack-*.test.ts only. What decides about an attack are the key holders, who are untouched unless a test
 * weakens them by name.
 */
import { ActiveRound } from '../../coordinator/rounds/active-round.ts';
import type { CommitteeKey } from '../../coordinator/rounds/ceremonies.ts';
import type { Entry, HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { isFinal, openRound, type RoundState, type RoundTerms } from '../../coordinator/rounds/machine.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import { putUpload } from '../../coordinator/rounds/uploads.ts';
import { until } from '../../coordinator/testing.ts';
import { concat, fromHex, toHex, utf8 } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import type { RandomSource } from '../../crypto/random.ts';
import type { SealedParts } from '../../crypto/secagg/scheme.ts';
import { HolderStore, type StoredPartial, type StoredStatement } from '../../keyholder/store.ts';
import { openersOf, quorumOf } from '../../protos/plan.ts';
import { digitCountOf, schemeOf } from '../../protos/plan-scheme.ts';
import { type EncodedRoundConfig, encodeRoundConfig } from '../../protos/round-config.ts';
import {
  type CohortCertificate,
  type RoundBinding,
  uploadDigest,
  uploadStatement,
} from '../../protos/statements.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { type FederationWorld, servicesOf } from './testing-federation.ts';

/** A holder that forgets what it signed: the corrupt one of several attacks. */
export class ForgetfulStore extends HolderStore {
  override statement(): StoredStatement | undefined {
    return undefined;
  }
  override putStatement(): void {}
}

/** ... and what it answered. */
export class HeedlessStore extends ForgetfulStore {
  override partial(): StoredPartial | undefined {
    return undefined;
  }
  override anyPartial(): StoredPartial | undefined {
    return undefined;
  }
  override putPartial(): void {}
}

/** A holder that cannot be reached. */
export function away({ holderId }: HolderPort): HolderPort {
  const unreachable = async (): Promise<never> => {
    throw new PulsefoldError('UNAVAILABLE', `${holderId} is away`);
  };
  return {
    holderId,
    registerPlan: unreachable,
    ceremonyStep: unreachable,
    accept: unreachable,
    certify: unreachable,
    abort: unreachable,
    draw: unreachable,
    open: unreachable,
    erase: unreachable,
  };
}

/** What a device is shown of a round. */
export interface Shown {
  readonly round?: number;
  /** Hex. */
  readonly modelHash?: string;
}

type Key = Pick<CommitteeKey, 'publicKey' | 'keyId'>;

export function configOf(world: FederationWorld, key: Key, shown: Shown = {}): EncodedRoundConfig {
  const { parsed, suite } = world;
  return encodeRoundConfig(
    {
      version: 1,
      planHash: parsed.hashHex,
      round: shown.round ?? 1,
      kind: 'training',
      modelHash: shown.modelHash ?? '01'.repeat(32),
      committeeKeyId: toHex(key.keyId),
      digitCount: digitCountOf(parsed, 'training'),
      openedAtMs: 1,
    },
    suite,
  );
}

const bindingOf = (world: FederationWorld, { config, hash }: EncodedRoundConfig): RoundBinding => ({
  planHash: world.parsed.hash,
  round: config.round,
  modelHash: fromHex(config.modelHash),
  configHash: hash,
  committeeKeyId: fromHex(config.committeeKeyId),
});

export interface Update extends SealedParts {
  readonly identity: IdentityBundle;
  readonly digits: Int32Array;
  /** What the device was shown, sealed for and signs. */
  readonly config: EncodedRoundConfig;
}

export const schemeOfWorld = (world: FederationWorld) => schemeOf(world.parsed, 'training').scheme;

/** Sealed by the code that clients seal with. */
export function createUpdate(
  world: FederationWorld,
  key: Key,
  identity: IdentityBundle,
  digits: Int32Array,
  shown: Shown & { readonly random?: RandomSource } = {},
): Update {
  const config = configOf(world, key, shown);
  const context = { configHash: config.hash, deviceId: identity.subjectId };
  const parts = world.secagg.seal(schemeOfWorld(world), context, key.publicKey, digits, shown.random);
  return { identity, digits, config, ...parts };
}

/** As the device signs it: what a holder is shown beside the certificate. */
export function signUpdate(world: FederationWorld, update: Update) {
  const { suite } = world;
  const { subjectId: deviceId, signing } = update.identity;
  const digest = uploadDigest(suite, update.body, update.holderPart);
  const binding = bindingOf(world, update.config);
  const signature = suite.sign(signing.secretKey, uploadStatement({ ...binding, deviceId, digest }));
  return { ...binding, digest, signature };
}

export interface RoundOptions {
  readonly terms?: Partial<RoundTerms>;
  readonly round?: number;
  /** What the holders are shown in the place of what the coordinator has of these devices, by subject id. */
  readonly entries?: ReadonlyMap<string, Partial<Entry>>;
  readonly services?: Partial<RoundServices>;
  /** Answers that the attacker waits for before it leaves; as many as open a sum unless it says otherwise. */
  readonly answersWanted?: number;
}

export interface RoundEnd {
  readonly state: RoundState;
  readonly sum: Int32Array | null;
  /** Of a round that opens by groups. */
  readonly groups: repository.GroupFacts | null;
  /** What the holders answered instead, as the coordinator logs it: `stage holder CODE: message`. */
  readonly refusals: readonly string[];
  /** Codes with which entries were rejected. */
  readonly rejections: readonly string[];
  /** What the coordinator logged as an error. */
  readonly complaints: readonly string[];
  /** Everything that holders answered to openings: holder's index, active set, answer. */
  readonly answers: readonly { readonly index: number; readonly set: string; readonly partial: Uint8Array }[];
  readonly certificate: CohortCertificate | null;
  readonly signatures: readonly { readonly holderId: string; readonly signature: Uint8Array }[];
  /** Leaves of the coordinator's log. */
  readonly log: readonly { readonly kind: string; readonly reason?: string }[];
}

/** Shows the holders each entry as its device signed it, whatever that was, or as the attacker made it. */
class MixedRound extends ActiveRound {
  shown = new Map<string, Partial<Entry>>();
  protected override shownEntries(devices: readonly string[]): ReturnType<ActiveRound['entries']> {
    return super.shownEntries(devices).map((entry) => ({ ...entry, ...this.shown.get(entry.deviceId) }));
  }
}

export class AttackedRound {
  readonly services: RoundServices;
  readonly refusals: string[] = [];
  readonly complaints: string[] = [];
  readonly #world: FederationWorld;
  readonly #active: MixedRound;
  readonly #options: RoundOptions;
  readonly #config: EncodedRoundConfig;

  constructor(
    world: FederationWorld,
    key: CommitteeKey,
    holders: readonly HolderPort[],
    options: RoundOptions = {},
  ) {
    this.#world = world;
    this.#options = options;
    const warn = (fields: { holderId?: string; stage?: string; message?: string }): void => {
      if (fields.holderId) this.refusals.push(`${fields.stage} ${fields.holderId} ${fields.message}`);
    };
    const error = (fields: object, text: string): void => {
      this.complaints.push(`${text} ${JSON.stringify(fields)}`);
    };
    this.services = {
      ...servicesOf(world, holders),
      logger: { info: () => {}, warn, error } as unknown as RoundServices['logger'],
      // The attacker wants the sum, not the next model.
      release: async () => {},
      ...options.services,
    };
    const { plan } = world.parsed;
    const round = options.round ?? 1;
    const terms: RoundTerms = {
      ...plan.rounds,
      holderIds: plan.holders.map(({ id }) => id),
      quorum: quorumOf(plan),
      threshold: openersOf(plan),
      ...options.terms,
    };
    const state = openRound(round, 'training', terms, Date.now());
    this.#config = configOf(world, key, { round });
    this.#active = new MixedRound(this.services, world.parsed, this.#config, holders, state);
    this.services.budget.recordKey(world.parsed, key);
    this.services.store.transaction('open-round', (db) =>
      repository.insertRound(db, world.parsed.hashHex, {
        round,
        phase: 'collecting',
        state: JSON.stringify(state),
        config: this.#config.bytes,
        config_hash: this.#config.hashHex,
        model_hash: this.#config.config.modelHash,
        committee_key_id: this.#config.config.committeeKeyId,
      }),
    );
  }

  /**
   * The bytes go through the coordinator's intake. Where the device signed for another round or model, the intake sees
   * what an attacker's own would let pass, and the holders see what the device signed.
   */
  async upload(update: Update): Promise<void> {
    const { suite, parsed } = this.#world;
    const { subjectId: deviceId, signing, certificate } = update.identity;
    const signed = signUpdate(this.#world, update);
    const { binding } = this.#active;
    const differs = this.#config.hashHex !== update.config.hashHex;
    const patch = { ...(differs ? signed : {}), ...this.#options.entries?.get(deviceId) };
    this.#active.shown.set(deviceId, patch);
    const { digest } = signed;
    const signature = differs
      ? suite.sign(signing.secretKey, uploadStatement({ ...binding, deviceId, digest }))
      : signed.signature;
    const pseudonym = toHex(suite.digest(utf8(deviceId)));
    await this.services.store.enqueue('invite', (db) => {
      const refusal = this.services.budget.reserve(db, parsed, this.#config, [pseudonym]).get(pseudonym);
      if (refusal) throw new PulsefoldError('BUDGET_EXCEEDED', refusal);
      repository.insertInvitations(db, parsed.hashHex, binding.round, [{ deviceId, pseudonym }]);
    });
    this.#active.notify({ type: 'devices_invited', deviceIds: [deviceId] });
    const { body, holderPart } = update;
    await putUpload(this.services, {
      target: { planHex: parsed.hashHex, binding, active: this.#active },
      device: { deviceId, signingPublicKey: signing.publicKey, certificate },
      header: {
        configHash: binding.configHash,
        digest,
        signature,
        bodyBytes: body.length,
        holderBytes: holderPart.length,
      },
      offset: 0,
      data: concat(body, holderPart),
    });
  }

  /** Plays until the sum is open, the round over, or too few holders are left that have not refused. */
  async play(updates: readonly Update[]): Promise<RoundEnd> {
    for (const update of updates) await this.upload(update);
    let failure: unknown;
    let stopped = false;
    const running = this.#active.run().catch((error: unknown) => {
      if (!stopped) failure = error;
    });
    const isOver = () => failure !== undefined || isFinal(this.#active.state) || this.#isOver();
    await until('the end of the round', isOver, 20_000);
    stopped = true;
    this.#active.stop();
    await running;
    if (failure) throw failure;
    const end = this.#end();
    this.services.store.close();
    return end;
  }

  #end(): RoundEnd {
    const { store } = this.services;
    const { state } = this.#active;
    const plan = this.#world.parsed.hashHex;
    const [stored, rejections] = store.read('end', (db) => [
      repository.getSum(db, plan, state.round),
      db.all<{ code: string }>('SELECT DISTINCT code FROM rejections ORDER BY code').map(({ code }) => code),
    ]);
    const bytes = stored?.digits.slice();
    return {
      state,
      sum: bytes ? new Int32Array(bytes.buffer) : null,
      groups: stored?.groups ?? null,
      refusals: [...new Set(this.refusals)].sort(),
      rejections,
      complaints: this.complaints,
      answers: this.#answers(),
      certificate: state.cohort ? this.#active.certificate() : null,
      signatures: this.#active.signatures('certificate'),
      log: store
        .read('log', (db) => db.all<{ data: Uint8Array }>('SELECT * FROM log_leaves ORDER BY number'))
        .map(({ data }) => JSON.parse(Buffer.from(data).toString())),
    };
  }

  #answers(): RoundEnd['answers'] {
    const { holderIds } = this.#active.state.terms;
    return this.services.store
      .read('answers', (db) =>
        db.all<{ holder: string; active_set: string; partial: Uint8Array }>(
          'SELECT holder, active_set, partial FROM partials ORDER BY holder, active_set',
        ),
      )
      .map(({ holder, active_set: set, partial }) => ({
        index: holderIds.indexOf(holder) + 1,
        set,
        partial: partial.slice(),
      }));
  }

  #isOver(): boolean {
    const { phase, terms } = this.#active.state;
    const stage = { certifying: 'certificate', opening: 'partial' }[phase as string];
    if (!stage) return false;
    const refused = new Set(this.refusals.filter((line) => line.startsWith(`${stage} `)).map(holderIn));
    const { answersWanted } = this.#options;
    const needed = phase === 'opening' ? (answersWanted ?? terms.threshold) : terms.quorum;
    if (terms.holderIds.length - refused.size < needed) return true;
    return answersWanted !== undefined && new Set(this.#answers().map(({ index }) => index)).size >= needed;
  }
}

const holderIn = (refusal: string): string => refusal.split(' ')[1]!;

/** Holders that refused in `stage` with `code`. */
export const refusersOf = ({ refusals }: RoundEnd, stage: string, code: string): string[] => [
  ...new Set(
    refusals.filter((line) => line.startsWith(`${stage} `) && line.includes(` ${code}: `)).map(holderIn),
  ),
];
