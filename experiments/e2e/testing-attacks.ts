/**
 * One round of the coordinator's real code (intake, machine, store, opening) with an attacker's hand on its inputs:
 * the terms that its machine plays by, the entries that it shows, the holder ports that it asks.
 *
 * For attack-*.test.ts only. What decides about an attack are the key holders, who are untouched unless a test
 * weakens them by name.
 */
import { ActiveRound } from '../../coordinator/rounds/active-round.ts';
import type { CommitteeKey } from '../../coordinator/rounds/ceremonies.ts';
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { isFinal, openRound, type RoundState, type RoundTerms } from '../../coordinator/rounds/machine.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import { putUpload } from '../../coordinator/rounds/uploads.ts';
import { until } from '../../coordinator/testing.ts';
import { toHex } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { HolderStore, type StoredStatement } from '../../keyholder/store.ts';
import { openersOf, quorumOf } from '../../protos/plan.ts';
import { digitCountOf } from '../../protos/plan-scheme.ts';
import { type EncodedRoundConfig, encodeRoundConfig } from '../../protos/round-config.ts';
import { type RoundBinding, uploadDigest, uploadStatement } from '../../protos/statements.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { type FederationWorld, servicesOf } from './testing-federation.ts';

const ROUND = 1;

/** A holder that forgets what it signed: the corrupt one of several attacks. */
export class ForgetfulStore extends HolderStore {
  override statement(): StoredStatement | undefined {
    return undefined;
  }
  override putStatement(): void {}
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
    open: unreachable,
    erase: unreachable,
  };
}

export interface Update {
  readonly identity: IdentityBundle;
  readonly digits: Int32Array;
  readonly c0: Uint8Array;
  readonly c1: Uint8Array;
}

export const createUpdate = (
  world: FederationWorld,
  key: Pick<CommitteeKey, 'publicKey'>,
  identity: IdentityBundle,
  digits: Int32Array,
): Update => ({ identity, digits, ...world.bfv.encrypt(key.publicKey, digits) });

export interface RoundOptions {
  readonly terms?: Partial<RoundTerms>;
  /** Another model for these devices, by subject id. */
  readonly modelOf?: (deviceId: string) => string | undefined;
}

export interface RoundEnd {
  readonly state: RoundState;
  readonly sum: Int32Array | null;
  /** What the holders answered instead, as the coordinator logs it: `stage holder CODE: message`. */
  readonly refusals: readonly string[];
  /** Codes with which entries were rejected. */
  readonly rejections: readonly string[];
}

/** The round as shown to other devices under another model; only its binding is used. */
class ShownRound extends ActiveRound {}

/** Shows the holders each entry as its device signed it, whatever binding that was. */
class MixedRound extends ActiveRound {
  bindings = new Map<string, RoundBinding>();
  override entries(devices: readonly string[]): ReturnType<ActiveRound['entries']> {
    return super.entries(devices).map((entry) => ({ ...entry, ...this.bindings.get(entry.deviceId) }));
  }
}

export class AttackedRound {
  readonly services: RoundServices;
  readonly refusals: string[] = [];
  readonly #world: FederationWorld;
  readonly #key: CommitteeKey;
  readonly #active: MixedRound;
  readonly #options: RoundOptions;
  readonly #state: RoundState;
  readonly #holders: readonly HolderPort[];

  constructor(
    world: FederationWorld,
    key: CommitteeKey,
    holders: readonly HolderPort[],
    options: RoundOptions = {},
  ) {
    this.#world = world;
    this.#key = key;
    this.#holders = holders;
    this.#options = options;
    const warn = (fields: { holderId?: string; stage?: string; message?: string }): void => {
      if (fields.holderId) this.refusals.push(`${fields.stage} ${fields.holderId} ${fields.message}`);
    };
    this.services = {
      ...servicesOf(world, holders),
      logger: { info: () => {}, warn: warn as RoundServices['logger']['warn'], error: () => {} },
      // The attacker wants the sum, not the next model.
      release: async () => {},
    };
    const { plan } = world.parsed;
    const terms: RoundTerms = {
      ...plan.rounds,
      holderIds: plan.holders.map(({ id }) => id),
      quorum: quorumOf(plan),
      threshold: openersOf(plan),
      ...options.terms,
    };
    this.#state = openRound(ROUND, 'training', terms, Date.now());
    const config = this.#configOf(toHex(new Uint8Array(32).fill(1)));
    this.#active = new MixedRound(this.services, world.parsed, config, holders, this.#state);
    this.services.budget.recordKey(world.parsed, key);
    this.services.store.transaction('open-round', (db) =>
      repository.insertRound(db, world.parsed.hashHex, {
        round: ROUND,
        phase: 'collecting',
        state: JSON.stringify(this.#state),
        config: config.bytes,
        config_hash: config.hashHex,
        model_hash: config.config.modelHash,
        committee_key_id: config.config.committeeKeyId,
      }),
    );
  }

  #configOf(modelHash: string): EncodedRoundConfig {
    const { parsed, suite } = this.#world;
    return encodeRoundConfig(
      {
        version: 1,
        planHash: parsed.hashHex,
        round: ROUND,
        kind: 'training',
        modelHash,
        committeeKeyId: toHex(this.#key.keyId),
        digitCount: digitCountOf(parsed, 'training'),
        openedAtMs: 1,
      },
      suite,
    );
  }

  /** The device signs for the round that it is shown; the bytes go through the coordinator's intake. */
  async upload({ identity, c0, c1 }: Update): Promise<void> {
    const { suite, parsed } = this.#world;
    const { subjectId: deviceId, signing, certificate } = identity;
    const model = this.#options.modelOf?.(deviceId);
    const shown = model
      ? new ShownRound(this.services, parsed, this.#configOf(model), this.#holders, this.#state)
      : this.#active;
    const { binding } = shown;
    this.#active.bindings.set(deviceId, binding);
    const digest = uploadDigest(suite, c0, c1);
    const signature = suite.sign(signing.secretKey, uploadStatement({ ...binding, deviceId, digest }));
    await this.services.store.enqueue('invite', (db) =>
      repository.insertInvitation(db, parsed.hashHex, ROUND, deviceId, deviceId),
    );
    this.#active.notify({ type: 'device_invited', deviceId });
    const data = Buffer.concat([c0, c1]);
    await putUpload(this.services, {
      target: { planHex: parsed.hashHex, binding, active: shown },
      device: { deviceId, signingPublicKey: signing.publicKey, certificate },
      header: {
        configHash: binding.configHash,
        digest,
        signature,
        bodyBytes: c0.length,
        holderBytes: c1.length,
      },
      offset: 0,
      data,
    });
    if (shown !== this.#active) this.#active.notify({ type: 'upload_acknowledged', deviceId });
  }

  /** Plays until the sum is open, the round aborted, or too few holders are left that have not refused. */
  async play(updates: readonly Update[]): Promise<RoundEnd> {
    for (const update of updates) await this.upload(update);
    const running = this.#active.run().catch(() => {});
    await until('the end of the round', () => isFinal(this.#active.state) || this.#hopeless(), 20_000);
    this.#active.stop();
    await running;
    const { store } = this.services;
    const plan = this.#world.parsed.hashHex;
    const [stored, rejections] = store.read('end', (db) => [
      repository.getSum(db, plan, ROUND),
      db.all<{ code: string }>('SELECT DISTINCT code FROM rejections ORDER BY code').map(({ code }) => code),
    ]);
    const bytes = stored?.digits.slice();
    store.close();
    return {
      state: this.#active.state,
      sum: bytes ? new Int32Array(bytes.buffer) : null,
      refusals: [...new Set(this.refusals)].sort(),
      rejections,
    };
  }

  #hopeless(): boolean {
    const { phase, terms } = this.#active.state;
    const stage = { certifying: 'certificate', opening: 'partial' }[phase as string];
    const refused = new Set(this.refusals.filter((line) => line.startsWith(`${stage} `)).map(holderIn));
    const needed = phase === 'opening' ? terms.threshold : terms.quorum;
    return stage !== undefined && terms.holderIds.length - refused.size < needed;
  }
}

const holderIn = (refusal: string): string => refusal.split(' ')[1]!;

/** Holders that refused in `stage` with `code`. */
export const refusersOf = ({ refusals }: RoundEnd, stage: string, code: string): string[] => [
  ...new Set(
    refusals.filter((line) => line.startsWith(`${stage} `) && line.includes(` ${code}: `)).map(holderIn),
  ),
];
