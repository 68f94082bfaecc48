/**
 * `HolderPort` over gRPC: what a key holder says is parsed and capped like any other input from outside.
 *
 * May be called by: coordinator/coordinator.ts.
 */
import type { ChannelCredentials } from '@grpc/grpc-js';
import { z } from 'zod';
import {
  bytesOrEmpty,
  bytesUpTo,
  deviceId,
  holderId,
  listOf,
  MESSAGE_BYTES_MAX,
  parse,
  signature,
  text,
} from '../../protos/fields.ts';
import type { PlanApproval } from '../../protos/plan.ts';
import { openClient, type RpcClient } from '../../protos/transport/channel.ts';
import type {
  Acceptance,
  CeremonyReply,
  Draw,
  Entry,
  HolderPort,
  OpenPart,
  OpenRequest,
  PartialOpening,
  StatementSignature,
} from '../rounds/holder-port.ts';

const PART_BYTES_MAX = 2 * 1024 * 1024;
const OPEN_CHUNK_BYTES = 256 * 1024;

const ceremonyReply = z.object({
  part: z.object({ holderId, payload: bytesUpTo(PART_BYTES_MAX), signature }),
  shares: listOf(
    z.object({ fromHolderId: holderId, toHolderId: holderId, sealed: bytesUpTo(PART_BYTES_MAX) }),
    16,
  ),
  publicKey: bytesOrEmpty(PART_BYTES_MAX),
  keyId: bytesOrEmpty(32),
  keySignature: bytesOrEmpty(64),
});
const acceptReply = z.object({
  accepted: listOf(deviceId, 10_000),
  // An entry whose certificate did not verify has no name that the holder vouches for: its deviceId is empty.
  rejected: listOf(z.object({ deviceId: text(32), code: text(64), reason: text(500) }), 10_000),
});
const statementReply = z.object({ holderId, signature });
const drawReply = z.object({ holderId, values: bytesUpTo(256), signature });
const openReply = z.object({ holderId, partial: bytesUpTo(64 * 1024 * 1024), signature });

export interface HolderClientOptions {
  readonly holderId: string;
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** A holder that does not answer for this long counts as failed for now. */
  readonly callMs: number;
}

export class HolderClient implements HolderPort {
  readonly holderId: string;
  readonly #rpc: RpcClient;
  readonly #callMs: number;

  constructor(options: HolderClientOptions) {
    this.holderId = options.holderId;
    this.#callMs = options.callMs;
    this.#rpc = openClient({
      service: 'KeyHolder',
      address: options.address,
      credentials: options.credentials,
      deadlineMs: options.callMs,
      messageBytesMax: 4 * MESSAGE_BYTES_MAX,
      attemptsMax: 1,
    });
  }

  close(): void {
    this.#rpc.close();
  }

  async registerPlan(plan: Uint8Array, approvals: readonly PlanApproval[]): Promise<void> {
    await this.#rpc.call('registerPlan', { plan, approvals });
  }

  async ceremonyStep(request: Parameters<HolderPort['ceremonyStep']>[0]): Promise<CeremonyReply> {
    return parse(
      ceremonyReply,
      await this.#rpc.call('ceremonyStep', request, { deadlineMs: 4 * this.#callMs }),
    );
  }

  async accept(planHash: Uint8Array, round: number, entries: readonly Entry[]): Promise<Acceptance> {
    return parse(acceptReply, await this.#rpc.call('accept', { planHash, round, entries }));
  }

  async certify(request: Parameters<HolderPort['certify']>[0]): Promise<StatementSignature> {
    return parse(statementReply, await this.#rpc.call('certify', request));
  }

  async abort(planHash: Uint8Array, round: number, reason: string): Promise<StatementSignature> {
    return parse(statementReply, await this.#rpc.call('abort', { planHash, round, reason }));
  }

  async draw(request: OpenRequest, parts: Iterable<OpenPart>): Promise<Draw> {
    return parse(
      drawReply,
      await this.#rpc.send('draw', openMessages(request, parts), { deadlineMs: 10 * this.#callMs }),
    );
  }

  async open(request: OpenRequest, parts: Iterable<OpenPart>): Promise<PartialOpening> {
    return parse(
      openReply,
      await this.#rpc.send('open', openMessages(request, parts), { deadlineMs: 10 * this.#callMs }),
    );
  }

  async erase(planHash: Uint8Array, round: number): Promise<void> {
    await this.#rpc.call('erase', { planHash, round });
  }
}

/** Header, then every holder part in chunks; the entry travels with the first chunk of its upload. */
function* openMessages(request: OpenRequest, parts: Iterable<OpenPart>): Iterable<object> {
  yield { header: request };
  for (const { deviceId: id, bodyDigest, holderPart, entry } of parts)
    for (let offset = 0; offset === 0 || offset < holderPart.length; offset += OPEN_CHUNK_BYTES) {
      const chunk = holderPart.subarray(offset, offset + OPEN_CHUNK_BYTES);
      const first = offset === 0 && entry !== null ? { entry } : {};
      yield { part: { deviceId: id, bodyDigest, offset, holderPart: chunk, ...first } };
    }
}
