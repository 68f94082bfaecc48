/**
 * What `pulsefold bench round` is asked for and what it finds.
 *
 * May be called by: experiments/bench/round, cli.
 */

export interface RoundBenchOptions {
  /** 2 to 10,000. */
  readonly clients: number;
  /** Wanted model size; the nearest model that a plan can have is taken and its size reported. */
  readonly parameters: number;
  readonly transport: 'shares' | 'bfv';
  /** Smallest cohort that the plan accepts and its noise is calibrated for. Default nine tenths of the clients. */
  readonly cohortMin?: number;
  /** Person-level differential privacy, ε 3 at δ 1e-6. */
  readonly privacy: boolean;
  /** Processes that host the clients. Default 2. */
  readonly hosts?: number;
  /** Clients under way at a time, over all hosts. Default 128. */
  readonly atATime?: number;
  /** `bounded`: a client's connection ends with its acknowledgement. `all`: all stay open until the receipts. */
  readonly connections?: 'bounded' | 'all';
  /** Kept if given; else a temporary one that is removed. */
  readonly directory?: string;
  /** CPU profiles of coordinator, holders and hosts go here. */
  readonly profileDirectory?: string;
  readonly onProgress: (text: string) => void;
}

/** Times in seconds, memory in MB of 10^6 bytes, CPU in milliseconds of user and system time. */
export interface RoundRow {
  readonly bench: 'round';
  readonly clients: number;
  readonly d: number;
  readonly transport: 'shares' | 'bfv';
  readonly scheme: string;
  readonly slot_bits: number;
  /** First check-in to release. */
  readonly wall_s: number;
  /** Of these, until the last upload was acknowledged and the cohort frozen. */
  readonly uploads_s: number;
  readonly accept_s: number;
  readonly certify_s: number;
  readonly open_s: number;
  readonly release_s: number;
  readonly coordinator_cpu_ms_per_client: number;
  /** Of these, until the cohort was frozen. */
  readonly coordinator_uploads_cpu_ms_per_client: number;
  readonly coordinator_rss_mb: number;
  /** Mean of the four holders. */
  readonly holder_cpu_ms_per_client: number;
  /** Largest of the four. */
  readonly holder_rss_mb: number;
  readonly client_cpu_ms_per_client: number;
  readonly upload_bytes: number;
  /** The opened sum is the sum of everything sealed, slot by slot. */
  readonly exact: boolean;
  readonly wrong: number;
  /** Certified. */
  readonly cohort: number;
  /** Mutual-TLS connections made for the uploads, one per client. */
  readonly connections: number;
  /** Most files that the coordinator had open at a time: sockets and a few more. */
  readonly coordinator_files_max: number;
  /** Receipts that clients fetched and verified afterwards, outside `wall_s`. */
  readonly receipts: number;
  readonly receipts_s: number;
  readonly coordinator_receipt_cpu_ms_per_client: number;
  /** Always true: local training is replaced by a generator of weights. */
  readonly training_generated: true;
}
