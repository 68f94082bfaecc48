/**
 * A real round under a curious coordinator, and what an attacker carries off from it: the coordinator's database and
 * everything it relayed, holders' files, keys and ceremony states, one client's secrets.
 *
 * For key-test.test.ts only. The coordinator relays honestly, keeps everything and asks for every partial decryption
 * that the holders will give.
 */
import { copyFileSync, cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JoinSummary } from '../../client/agent/agent.ts';
import type { Sealer } from '../../client/agent/seal.ts';
import { MemoryClientStore, openVaultStore } from '../../client/agent/store.ts';
import { createVault } from '../../client/vault/vault.ts';
import type { CeremonyReply, HolderPort } from '../../coordinator/rounds/holder-port.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import { uploadParts } from '../../coordinator/rounds/upload-bytes.ts';
import { FileSpool } from '../../coordinator/storage/file-spool.ts';
import { openStore } from '../../coordinator/storage/sqlite-store.ts';
import { randomBytes } from '../../crypto/random.ts';
import { subsetsOf } from '../../crypto/secagg/ceremony.ts';
import { Custody } from '../../keyholder/custody.ts';
import { unpack } from '../../keyholder/packed.ts';
import { HolderStore, type RoundRef } from '../../keyholder/store.ts';
import { Committee, type TestHolder } from '../../keyholder/testing.ts';
import { decodeTestPayload, type SealedShare } from '../../protos/keyholder-messages.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import {
  createAgent,
  createFederation,
  createIdentity,
  type FederationWorld,
  portOf,
  RunningCoordinator,
  servicesOf,
} from './testing-federation.ts';

const INPUTS = 255;
export const CLIENTS = 5;
/** Index of the client whose secrets the attacker has. */
export const KNOWN = 1;
export const pairs = subsetsOf(4, 2);

export interface SealedUpdate {
  readonly digits: Int32Array;
  readonly c0: Uint8Array;
  readonly c1: Uint8Array;
}

/** One holder as whoever walks off with its machine has it. */
export interface SeizedHolder {
  readonly index: number;
  readonly store: HolderStore;
  readonly custody: Custody;
  /** What it ever had in memory of its ceremonies, opened; see `watchCeremony`. */
  readonly ceremonyStates: readonly { readonly core: Uint8Array; readonly sealingKey: Uint8Array }[];
  readonly identitySealingKey: Uint8Array;
}

export interface RelayedShare {
  readonly round: number;
  readonly share: SealedShare;
}

export class SeizedRound {
  readonly world: FederationWorld;
  readonly committee: Committee;
  readonly coordinator: RunningCoordinator;
  /** What each client sealed; an observer sits in the clients for the comparison, not for the attack. */
  readonly sealed: SealedUpdate[] = [];
  identities: readonly IdentityBundle[] = [];
  /** Of round 1. */
  configHash: Uint8Array = new Uint8Array(32);
  /** Every sealed share that the coordinator relayed. */
  readonly relayed: RelayedShare[] = [];
  /** Every partial decryption that the holders would give, by `holder@set`. */
  readonly partials = new Map<string, Uint8Array>();
  /** The test openings of the ceremony of round 1, of 64 digits each, by `holder@set`. */
  readonly testPartials = new Map<string, Uint8Array>();
  readonly directory = mkdtempSync(join(tmpdir(), 'pulsefold-key-test-'));
  /** Copies of holders' files from the middle of the round, when the shares are still there. */
  readonly #filesDuring = new Map<number, string>();
  readonly #ceremonyStates = new Map<number, Uint8Array[]>();
  readonly #storageKeys: readonly Uint8Array[];
  readonly #opened: HolderStore[] = [];

  private constructor(world: FederationWorld) {
    this.world = world;
    this.#storageKeys = world.holderKeys.map(() => randomBytes(32));
    this.committee = new Committee(world, (index) => ({
      storageKey: this.#storageKeys[index - 1]!,
      hooks: { reached: (point) => point === 'ceremony:stored' && this.#watchCeremony(index) },
    }));
    const ports = this.committee.holders.map((holder) => this.#curious(holder));
    const services = servicesOf(world, ports, {
      store: openStore(join(this.directory, 'coordinator.db')),
      spool: new FileSpool({ directory: join(this.directory, 'spool') }),
      onRoundChange: (_parsed, state) => state.phase === 'opened' && this.#copyEverything(),
    });
    this.coordinator = new RunningCoordinator(world, services);
  }

  /** Plays round 1; round 2 is a spare whose key is made and not used. */
  static async play(): Promise<{ round: SeizedRound; summaries: readonly JoinSummary[] }> {
    const cohort = { cohortMin: CLIENTS, cohortTarget: CLIENTS, spare: 1 };
    const round = new SeizedRound(await createFederation({ inputs: INPUTS, rounds: cohort }));
    const summaries = await round.#joinAll();
    await round.coordinator.ended;
    return { round, summaries };
  }

  async close(): Promise<void> {
    await this.coordinator.stop();
    for (const store of this.#opened) store.close();
    this.committee.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  at(round = 1): RoundRef {
    return { planHash: this.world.parsed.hash, round };
  }

  get digitCount(): number {
    return this.sealed[0]!.digits.length;
  }

  #curious(holder: TestHolder): HolderPort {
    const port = portOf(holder);
    return {
      ...port,
      ceremonyStep: async (request): Promise<CeremonyReply> => {
        const reply = await port.ceremonyStep(request);
        for (const share of reply.shares) this.relayed.push({ round: request.round, share });
        if (request.phase === 'TEST' && request.round === 1)
          for (const { testerIndex, subset, partial } of decodeTestPayload(reply.part.payload))
            if (testerIndex === 1) this.testPartials.set(`${holder.index}@${subset}`, partial);
        return reply;
      },
      open: async (request, parts) => {
        const all = [...parts];
        for (const activeSet of pairs)
          for (const index of activeSet) {
            const asked = portOf(this.committee.holders[index - 1]!);
            const { partial } = await asked.open({ ...request, activeSet }, all);
            this.partials.set(`${index}@${activeSet}`, partial);
          }
        return port.open(request, all);
      },
    };
  }

  partial(index: number, activeSet: readonly number[]): Uint8Array {
    return this.partials.get(`${index}@${activeSet}`)!;
  }

  /** States are opened as they are written: a seized holder's memory, at its fullest. */
  #watchCeremony(index: number): void {
    const { store, custody } = this.committee.holders[index - 1]!.context;
    for (const at of [this.at(1), this.at(2)]) {
      const stored = store.ceremonyState(at);
      if (!stored) continue;
      const opened = custody.open('ceremony-state', at, stored);
      this.#ceremonyStates.set(index, [...(this.#ceremonyStates.get(index) ?? []), opened]);
    }
  }

  #copyEverything(): void {
    for (const holder of this.committee.holders) this.#filesDuring.set(holder.index, this.#copyOf(holder));
    for (const end of ['', '-wal'])
      copyFileSync(join(this.directory, `coordinator.db${end}`), join(this.directory, `seized.db${end}`));
    cpSync(join(this.directory, 'spool'), join(this.directory, 'seized.spool'), { recursive: true });
  }

  #copyOf({ directory, context }: Pick<TestHolder, 'directory' | 'context'>): string {
    context.store.truncateLog();
    return this.#copy(directory);
  }

  #copy(from: string): string {
    const to = mkdtempSync(join(this.directory, 'holder-'));
    for (const file of readdirSync(from)) copyFileSync(join(from, file), join(to, file));
    return to;
  }

  filesDuring(index: number): string {
    return this.#filesDuring.get(index)!;
  }

  /** The holder's machine in the middle of the round, and everything its memory ever held of ceremonies. */
  seizeDuring(index: number): SeizedHolder {
    return this.#seize(index, this.#copy(this.filesDuring(index)), this.#ceremonyStates.get(index) ?? []);
  }

  /** The holder's machine as it is now; nobody watched its memory before. */
  seizeNow(index: number): SeizedHolder {
    return this.#seize(index, this.#copyOf(this.committee.holders[index - 1]!), []);
  }

  #seize(index: number, files: string, states: readonly Uint8Array[]): SeizedHolder {
    const { id, sealing } = this.world.holderKeys[index - 1]!;
    const store = new HolderStore(join(files, 'keyholder.sqlite'));
    this.#opened.push(store);
    const storageKey = this.#storageKeys[index - 1]!;
    return {
      index,
      store,
      custody: new Custody({ suite: this.world.suite, storageKey, holderId: id }),
      ceremonyStates: states.map((bytes) => {
        const { core, sealing: own } = unpack<{ core: Uint8Array; sealing: { secretKey: Uint8Array } }>(
          bytes,
        );
        return { core, sealingKey: own.secretKey };
      }),
      identitySealingKey: sealing.secretKey,
    };
  }

  shareOf({ store, custody }: SeizedHolder, round = 1): Uint8Array {
    const at = this.at(round);
    return custody.open('committee-key-share', at, store.committeeKey(at)!.sealedShare!);
  }

  async #joinAll(): Promise<JoinSummary[]> {
    const { world, coordinator } = this;
    const identities = await Promise.all(Array.from({ length: CLIENTS }, () => createIdentity(world)));
    this.identities = identities;
    const vault = await createVault(join(this.directory, 'vault'), 'intl', { key: randomBytes(32) });
    const vaultStore = await openVaultStore(vault);
    const joins = identities.map(async (identity, i) => {
      const agent = await createAgent(world, identity, coordinator.connect(identity), {
        sealer: this.#observed(i),
        store: i === KNOWN ? vaultStore : new MemoryClientStore(),
      });
      return agent.join();
    });
    const summaries = await Promise.all(joins);
    await vaultStore.close();
    return summaries;
  }

  #observed(client: number): Sealer {
    return {
      seal: ({ committeeKey, digits, configHash }) => {
        this.configHash = configHash;
        const { c0, c1 } = this.world.bfv.encrypt(committeeKey, digits);
        this.sealed[client] = { digits: digits.slice(), c0, c1 };
        return { body: c0, holderPart: c1 };
      },
    };
  }

  /** Ciphertexts of the round by device, from the coordinator's seized database and spool. */
  ciphertexts(): Map<string, { c0: Uint8Array; c1: Uint8Array }> {
    const store = openStore(join(this.directory, 'seized.db'));
    const spool = new FileSpool({ directory: join(this.directory, 'seized.spool') });
    const at = { planHex: this.world.parsed.hashHex, round: 1 };
    const found = store.read('seized', (db) =>
      repository.acknowledgedDevices(db, at.planHex, at.round).map((device) => {
        const { body, holderPart } = uploadParts(spool, db, at, device);
        return [device, { c0: body.slice(), c1: holderPart.slice() }] as const;
      }),
    );
    store.close();
    return new Map(found);
  }
}
