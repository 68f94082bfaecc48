/**
 * What a device must remember over a crash: its budget, the round it has sealed an update for, the sealed bytes.
 *
 * The port and two implementations: the vault (`openVaultStore`) and memory (simulations and tests). A round's
 * sealed bytes are durable before the first chunk leaves, so a device can never send two updates for one round.
 * Trusts: the file system's rename and fsync; the state is sealed under a key of the vault, so a changed file is
 * refused. It cannot see a whole directory put back to an older copy: keep it out of backups (docs/threat-model.md).
 * May be called by: client/, experiments/ (memory).
 */
import { z } from 'zod';
import { fromHex, fromUtf8, toHex, utf8 } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { NOTE_BYTES_MAX } from '../../crypto/log/checkpoint.ts';
import { roundNumber } from '../../protos/fields.ts';
import type { Vault } from '../vault/vault.ts';
import { budgetStateSchema } from './budget.ts';
import { consentsSchema } from './consent.ts';
import { lockDirectory } from './directory-lock.ts';
import { accountsSchema, emptyAccounts } from './reconcile.ts';
import { withdrawalsSchema } from './withdraw.ts';

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const UNDECIDED_MAX = 1000;

export const sealedUploadSchema = z.strictObject({
  planHash: hex(32),
  round: roundNumber,
  kind: z.enum(['training', 'evaluation']),
  modelHash: hex(32),
  configHash: hex(32),
  committeeKeyId: hex(32),
  digest: hex(32),
  /** The device's signature over `uploadStatement`. */
  signature: hex(64),
  /** DER of the certificate it is sent under. */
  certificate: z.string().regex(/^([0-9a-f]{2}){1,4096}$/),
  bodyBytes: z.int().min(1),
  holderBytes: z.int().min(1),
  /** `sealed`: not known to have arrived. The others are what the coordinator said last. */
  progress: z.enum(['sealed', 'acknowledged', 'late', 'refused']),
  /** The coordinator's signature over its acknowledgement or late statement. */
  coordinatorSignature: hex(64).optional(),
});

const coordinatorKey = z.string().regex(/^([0-9a-f]{64}|04[0-9a-f]{128})$/);
const signedNote = z.string().max(NOTE_BYTES_MAX);

/** What the device remembers of transparency logs, by coordinator key (log-keeper.ts). */
const logStateSchema = z.strictObject({
  /** Largest verified checkpoint. */
  seen: z.record(coordinatorKey, z.strictObject({ note: signedNote })),
  /** Contradicting notes that a coordinator signed. */
  alarms: z.record(
    coordinatorKey,
    z.strictObject({ reason: z.string().max(1000), notes: z.tuple([signedNote, signedNote]) }),
  ),
  /** Rounds whose proof lacks the quorum of the pinned policy so far. */
  unwitnessed: z
    .array(z.strictObject({ planHash: hex(32), round: roundNumber, leafHash: hex(32) }))
    .max(1000),
});
export type LogState = z.output<typeof logStateSchema>;
export const emptyLogState = (): LogState => ({ seen: {}, alarms: {}, unwitnessed: [] });

/** One sealed update and what the coordinator said about it. */
export type SealedUpload = z.output<typeof sealedUploadSchema>;

const clientStateSchema = z.strictObject({
  version: z.literal(1),
  /** Last round that is finished for this device, by plan hash. */
  finishedRounds: z.record(hex(32), roundNumber),
  /** Rounds taken part in, by plan hash (turns.ts). */
  turns: z
    .record(hex(32), z.strictObject({ training: z.int().min(0), evaluation: z.int().min(0) }))
    .default({}),
  budget: budgetStateSchema,
  /** Uploads whose fate is not proven yet; their charges stand. */
  undecided: z.array(sealedUploadSchema).max(UNDECIDED_MAX),
  log: logStateSchema.default(emptyLogState),
  /** What receipts have charged, by pseudonym, and where the coordinator's ledger disagreed. */
  accounts: accountsSchema.default(emptyAccounts),
  /** From these on this device takes no part. */
  withdrawals: withdrawalsSchema.default([]),
  /** Oldest first; the newest that covers a plan counts. */
  consents: consentsSchema.default([]),
});

export type ClientState = z.output<typeof clientStateSchema>;

export const emptyState = (): ClientState => ({
  version: 1,
  finishedRounds: {},
  turns: {},
  budget: {},
  undecided: [],
  log: emptyLogState(),
  accounts: emptyAccounts(),
  withdrawals: [],
  consents: [],
});

export interface StoredReceipt {
  readonly receipt: Uint8Array;
  readonly signature: Uint8Array;
}

/** Every method that writes resolves only when the bytes are durable. Names: `<plan hash>-<round>`. */
export interface ClientStore {
  loadState(): Promise<ClientState>;
  saveState(state: ClientState): Promise<void>;
  putUpload(name: string, bytes: Uint8Array): Promise<void>;
  /** Throws NOT_FOUND. */
  getUpload(name: string): Promise<Uint8Array>;
  removeUpload(name: string): Promise<void>;
  putReceipt(name: string, receipt: StoredReceipt): Promise<void>;
  /** undefined: none was put. */
  getReceipt(name: string): Promise<StoredReceipt | undefined>;
  /** What a strategy keeps between rounds (strategy-memory.ts). Names: `<plan hash>-<key>`; a later one replaces it. */
  putMemory(name: string, bytes: Uint8Array): Promise<void>;
  /** undefined: none was put. */
  getMemory(name: string): Promise<Uint8Array | undefined>;
  /** An approved plan's canonical bytes, by its hash; once. */
  putPlan(planHash: string, bytes: Uint8Array): Promise<void>;
  /** The text of a .tlog-proof; a later one with more cosignatures replaces it. */
  putLogProof(name: string, proof: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export const uploadName = (upload: Pick<SealedUpload, 'planHash' | 'round'>): string =>
  `${upload.planHash}-${upload.round}`;

function parseState(bytes: Uint8Array): ClientState {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new PulsefoldError('FILE_SEALED', 'the client state is not JSON', { cause });
  }
  const result = clientStateSchema.safeParse(value);
  ensure(result.success, 'FILE_SEALED', 'the client state has missing or unknown fields');
  return result.data;
}

/** State in memory; `load` and `save` copy, so that a crash can be played by opening a second agent on it. */
export class MemoryClientStore implements ClientStore {
  #state: ClientState = emptyState();
  readonly #uploads = new Map<string, Uint8Array>();
  readonly #memories = new Map<string, Uint8Array>();
  readonly receipts = new Map<string, StoredReceipt>();
  readonly logProofs = new Map<string, Uint8Array>();
  readonly plans = new Map<string, Uint8Array>();

  async loadState(): Promise<ClientState> {
    return structuredClone(this.#state);
  }
  async saveState(state: ClientState): Promise<void> {
    this.#state = clientStateSchema.parse(structuredClone(state));
  }
  async putUpload(name: string, bytes: Uint8Array): Promise<void> {
    this.#uploads.set(name, bytes.slice());
  }
  async getUpload(name: string): Promise<Uint8Array> {
    const bytes = this.#uploads.get(name);
    ensure(bytes, 'NOT_FOUND', 'the sealed update is gone');
    return bytes.slice();
  }
  async removeUpload(name: string): Promise<void> {
    this.#uploads.delete(name);
  }
  async putReceipt(name: string, receipt: StoredReceipt): Promise<void> {
    this.receipts.set(name, receipt);
  }
  async getReceipt(name: string): Promise<StoredReceipt | undefined> {
    return this.receipts.get(name);
  }
  async putMemory(name: string, bytes: Uint8Array): Promise<void> {
    this.#memories.set(name, bytes.slice());
  }
  async getMemory(name: string): Promise<Uint8Array | undefined> {
    return this.#memories.get(name)?.slice();
  }
  async putPlan(planHash: string, bytes: Uint8Array): Promise<void> {
    this.plans.set(planHash, bytes);
  }
  async putLogProof(name: string, proof: Uint8Array): Promise<void> {
    this.logProofs.set(name, proof.slice());
  }
  async close(): Promise<void> {}
}

const storedReceiptSchema = z.strictObject({ receipt: z.string(), signature: z.string() });

const STATE = 'agent-state';
const uploadEntry = (name: string): string => `upload-${name}`;
const receiptEntry = (name: string): string => `receipt-${name}`;
const memoryEntry = (name: string): string => `memory-${name}`;
const planEntry = (planHash: string): string => `plan-${planHash}`;
const logProofEntry = (name: string): string => `tlog-proof-${name}`;

/**
 * The store of a real client: entries of its vault, under a lock against a second agent. Opening costs one scrypt (the
 * vault's), writing none. Throws CONFIG_INVALID when another agent uses the directory.
 */
export async function openVaultStore(vault: Vault): Promise<ClientStore> {
  return new VaultClientStore(vault, await lockDirectory(vault.dir));
}

/** The agent's state in its vault; reading needs no lock. Throws FILE_SEALED. */
export async function readVaultState(vault: Vault): Promise<ClientState> {
  // Only a state that was never written is empty; one that cannot be read must not look like a fresh budget.
  if (!(await vault.has(STATE))) return emptyState();
  return parseState(await vault.get(STATE));
}

class VaultClientStore implements ClientStore {
  readonly #vault: Vault;
  readonly #unlock: () => Promise<void>;

  constructor(vault: Vault, unlock: () => Promise<void>) {
    this.#vault = vault;
    this.#unlock = unlock;
  }

  loadState(): Promise<ClientState> {
    return readVaultState(this.#vault);
  }

  async saveState(state: ClientState): Promise<void> {
    await this.#vault.put(STATE, utf8(JSON.stringify(clientStateSchema.parse(state))));
  }

  async putUpload(name: string, bytes: Uint8Array): Promise<void> {
    await this.#vault.put(uploadEntry(name), bytes);
  }

  getUpload(name: string): Promise<Uint8Array> {
    return this.#vault.get(uploadEntry(name));
  }

  async removeUpload(name: string): Promise<void> {
    await this.#vault.delete(uploadEntry(name));
  }

  async putReceipt(name: string, { receipt, signature }: StoredReceipt): Promise<void> {
    const text = JSON.stringify({ receipt: fromUtf8(receipt), signature: toHex(signature) });
    await this.#vault.put(receiptEntry(name), utf8(text));
  }

  async getReceipt(name: string): Promise<StoredReceipt | undefined> {
    if (!(await this.#vault.has(receiptEntry(name)))) return undefined;
    const text = fromUtf8(await this.#vault.get(receiptEntry(name)));
    const { receipt, signature } = storedReceiptSchema.parse(JSON.parse(text));
    return { receipt: utf8(receipt), signature: fromHex(signature) };
  }

  async putMemory(name: string, bytes: Uint8Array): Promise<void> {
    await this.#vault.put(memoryEntry(name), bytes);
  }

  async getMemory(name: string): Promise<Uint8Array | undefined> {
    return (await this.#vault.has(memoryEntry(name))) ? this.#vault.get(memoryEntry(name)) : undefined;
  }

  async putPlan(planHash: string, bytes: Uint8Array): Promise<void> {
    const entry = planEntry(planHash);
    if (!(await this.#vault.has(entry))) await this.#vault.put(entry, bytes);
  }

  async putLogProof(name: string, proof: Uint8Array): Promise<void> {
    await this.#vault.put(logProofEntry(name), proof);
  }

  close(): Promise<void> {
    return this.#unlock();
  }
}
