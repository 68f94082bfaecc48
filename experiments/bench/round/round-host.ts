/**
 * A process that hosts thousands of clients of `pulsefold bench round`, a bounded number of them at a time.
 *
 * Started by round-bench.ts, told over the IPC channel what to do: prepare (keys and certificates), run (upload), receipts.
 * Keeps one sum of everything its clients sealed. Not reachable from the role commands.
 */
import { writeFileSync } from 'node:fs';
import type { BudgetLimits } from '../../../client/agent/budget.ts';
import { loadSealer } from '../../../client/agent/seal.ts';
import { isPulsefoldError } from '../../../crypto/error.ts';
import type { CertificateAuthority } from '../../../crypto/identity/certificate.ts';
import type { Approver } from '../../../protos/approval-policy.ts';

import { BenchClient, type ClientWorld, generatedTraining, issueClient, oneRecord } from './round-client.ts';

export interface PrepareCommand {
  readonly type: 'prepare';
  readonly clients: number;
  readonly authority: CertificateAuthority;
  readonly coordinatorAddress: string;
  readonly approver: Approver;
  readonly planHash: string;
  readonly inputs: number;
  readonly slotCount: number;
  readonly limits: BudgetLimits;
  /** Clients under way at a time. */
  readonly atATime: number;
  readonly keepOpen: boolean;
}

export type HostCommand =
  | PrepareCommand
  | { readonly type: 'run'; readonly sumsFile: string }
  | { readonly type: 'receipts' };

/** What a host says of its uploads. */
export interface UploadsDone {
  readonly firstCheckInAtMs: number;
  readonly acknowledged: number;
  readonly uploadBytes: number;
  readonly errors: readonly string[];
}

export interface ReceiptsDone {
  readonly certified: number;
  readonly errors: readonly string[];
}

const ERRORS_KEPT = 5;
const REPORT_MS = 500;

class Host {
  readonly #command: PrepareCommand;
  readonly #sums: Float64Array;
  #clients: BenchClient[] = [];
  #done = 0;
  #acknowledged = 0;
  #firstCheckInAtMs = 0;
  #uploadBytes = 0;
  #errors: string[] = [];

  constructor(command: PrepareCommand) {
    this.#command = command;
    this.#sums = new Float64Array(command.slotCount);
  }

  async prepare(): Promise<void> {
    const { authority, clients, keepOpen } = this.#command;
    const { coordinatorAddress, approver, planHash, inputs, limits } = this.#command;
    const world: ClientWorld = {
      coordinatorAddress,
      caPem: authority.caPem,
      approver,
      planHash,
      data: oneRecord(inputs),
      limits,
      keepOpen,
      sealer: await loadSealer(),
      engine: generatedTraining(),
      onCheckIn: () => {
        this.#firstCheckInAtMs ||= Date.now();
      },
      onAcknowledged: (digits) => {
        this.#acknowledged++;
        const sums = this.#sums;
        for (let i = 0; i < sums.length; i++) sums[i]! += digits[i]!;
      },
    };
    const slots = Array.from({ length: clients }, (_, index) => index);
    const made = new Array<BenchClient>(clients);
    await this.#each(slots, 'prepared', async (index) => {
      made[index] = new BenchClient(world, await issueClient(authority));
    });
    this.#clients = made;
  }

  async run(sumsFile: string): Promise<UploadsDone> {
    await this.#each(this.#clients, 'uploads', async (client) => {
      this.#uploadBytes = (await client.upload()).uploadBytes;
    });
    writeFileSync(sumsFile, this.#sums);
    return {
      firstCheckInAtMs: this.#firstCheckInAtMs,
      acknowledged: this.#acknowledged,
      uploadBytes: this.#uploadBytes,
      errors: this.#errors,
    };
  }

  async receipts(): Promise<ReceiptsDone> {
    let certified = 0;
    await this.#each(this.#clients, 'receipts', async (client) => {
      const proven = await client.receipt();
      certified += proven;
    });
    return { certified, errors: this.#errors };
  }

  /** `work` for every item, `atATime` of them under way; counts what fails and goes on. */
  async #each<T>(items: readonly T[], stage: string, work: (item: T) => Promise<void>): Promise<void> {
    this.#done = 0;
    this.#errors = [];
    const report = () => process.send?.({ event: 'progress', stage, done: this.#done });
    const timer = setInterval(report, REPORT_MS);
    const queue = items.values();
    const worker = async (): Promise<void> => {
      for (const item of queue) {
        await work(item).catch((error: unknown) => {
          if (this.#errors.length < ERRORS_KEPT) this.#errors.push(describe(error));
        });
        this.#done++;
      }
    };
    try {
      await Promise.all(Array.from({ length: this.#command.atATime }, worker));
    } finally {
      clearInterval(timer);
    }
    report();
  }
}

const describe = (error: unknown): string =>
  isPulsefoldError(error)
    ? `${error.code}: ${error.message}`
    : `INTERNAL: ${(error as Error).stack ?? String(error)}`;

function serve(): void {
  let host: Host | null = null;
  const obey = async (command: HostCommand): Promise<void> => {
    if (command.type === 'prepare') {
      host = new Host(command);
      await host.prepare();
      process.send?.({ event: 'prepared' });
    } else if (command.type === 'run') {
      process.send?.({ event: 'uploads-done', ...(await host!.run(command.sumsFile)) });
    } else process.send?.({ event: 'receipts-done', ...(await host!.receipts()) });
  };
  process.on('message', (command: HostCommand) => {
    obey(command).catch((error: unknown) => {
      process.stderr.write(`${describe(error)}\n`);
      process.exit(1);
    });
  });
  process.once('disconnect', () => process.exit(0));
  process.once('SIGTERM', () => process.exit(0));
  process.send?.({ event: 'host-ready' });
}

if (process.argv[1] === import.meta.filename) serve();
