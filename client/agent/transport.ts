/**
 * The port to the coordinator's Rounds service: requests as they go out, replies as they came in, unparsed.
 *
 * For: the agent; implemented over gRPC in grpc-rounds.ts and in memory by simulators and tests. An implementation
 * throws PulsefoldError; UNAVAILABLE and DEADLINE_EXCEEDED mean "ask again". Trusts: nothing; every reply goes
 * through replies.ts. May be called by: client/, experiments/.
 */
export interface CheckInRequest {
  readonly planHash: Uint8Array;
  readonly pseudonym: Uint8Array;
  readonly timeMs: number;
  readonly signature: Uint8Array;
  readonly waitMs: number;
  readonly roundAfter: number;
}

export interface UploadHeader {
  readonly configHash: Uint8Array;
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  readonly bodyBytes: number;
  readonly holderBytes: number;
}

export interface RoundRequest {
  readonly planHash: Uint8Array;
  readonly round: number;
}

export interface ReceiptRequest extends RoundRequest {
  /** Leaves of the largest checkpoint of the log that this device has verified. */
  readonly logSizeSeen?: number;
  /** What verified receipts have charged so far (reconcile.ts). */
  readonly charged?: string;
}

export interface WithdrawRequest {
  readonly planHash: Uint8Array;
  readonly pseudonym: Uint8Array;
  readonly scope: string;
  readonly timeMs: number;
  readonly signature: Uint8Array;
}

export interface ConsentRequest {
  readonly consent: Uint8Array;
  readonly signature: Uint8Array;
}

/** A signed request about the device itself (protos/erasure.ts, protos/subject-access.ts). */
export interface DeviceRequest {
  readonly planHash: Uint8Array;
  readonly pseudonym: Uint8Array;
  readonly timeMs: number;
  readonly signature: Uint8Array;
}

/** Requests of a person about their own device; a simulator's transport may leave them out. */
export interface RightsTransport {
  consent(request: ConsentRequest): Promise<unknown>;
  subjectAccess(request: DeviceRequest & { readonly offset: number }): Promise<unknown>;
  eraseDevice(request: DeviceRequest): Promise<unknown>;
}

export interface RoundsTransport extends Partial<RightsTransport> {
  getPlan(): Promise<unknown>;
  /** Long poll: may take `waitMs` and a little more. */
  checkIn(request: CheckInRequest): Promise<unknown>;
  getBlob(request: { readonly digest: Uint8Array; readonly offset: number }): Promise<unknown>;
  getUploadState(request: { readonly configHash: Uint8Array; readonly digest: Uint8Array }): Promise<unknown>;
  putUpload(request: {
    readonly header: UploadHeader;
    readonly offset: number;
    readonly data: Uint8Array;
  }): Promise<unknown>;
  getReceipt(request: ReceiptRequest): Promise<unknown>;
  withdraw(request: WithdrawRequest): Promise<unknown>;
  close(): void;
}
