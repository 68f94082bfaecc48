/**
 * The wire between the parties without sockets, with somebody who damages what is on it: every message is encoded and
 * decoded by the definitions that servers and clients use, and on its way a bit is flipped, or it is cut, lengthened, or
 * loses a piece. Replies of holders go through the schemas that the coordinator's client uses.
 *
 * For attack-messages.test.ts only. Mutual TLS excludes this on a network; a hostile peer can do it all the same.
 */
import type { Entry, HolderPort, OpenPart } from '../../coordinator/rounds/holder-port.ts';
import { concat } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import type { TestHolder } from '../../keyholder/testing.ts';
import { parse } from '../../protos/fields.ts';
import {
  acceptReplySchema,
  ceremonyStepReplySchema,
  drawReplySchema,
  openReplySchema,
  statementReplySchema,
} from '../../protos/keyholder-messages.ts';
import { serviceDefinition } from '../../protos/transport/load.ts';

/** What happens to a message: where, as a fraction of its length, and what. */
export interface Damage {
  readonly at: number;
  readonly kind: 'flip' | 'cut' | 'drop' | 'extend';
  /** Of a flip: 0 to 7; of a drop or an extension: a few bytes more. */
  readonly bit: number;
}

export function damaged(bytes: Uint8Array, { at, kind, bit }: Damage): Uint8Array {
  const index = Math.min(bytes.length - 1, Math.floor(at * bytes.length));
  if (bytes.length === 0 || kind === 'extend') return concat(bytes, new Uint8Array(bit + 1).fill(bit));
  if (kind === 'cut') return bytes.subarray(0, index);
  if (kind === 'drop') return concat(bytes.subarray(0, index), bytes.subarray(index + 1 + bit));
  return bytes.map((byte, i) => (i === index ? byte ^ (1 << bit) : byte));
}

/** Encodes, damages, decodes. Throws MALFORMED_MESSAGE where the transport would answer that. */
export function through(
  service: 'KeyHolder' | 'Rounds',
  method: string,
  direction: 'request' | 'response',
  message: object,
  damage?: Damage,
): object {
  const definition = serviceDefinition(service).definition[method]!;
  const [encode, decode] =
    direction === 'request'
      ? [definition.requestSerialize, definition.requestDeserialize]
      : [definition.responseSerialize, definition.responseDeserialize];
  const bytes = encode(message);
  const arrived = Buffer.from(damage ? damaged(bytes, damage) : bytes);
  try {
    return decode(arrived) as object;
  } catch (cause) {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'the message cannot be decoded', { cause });
  }
}

export interface HolderWireOptions {
  /** Sent, and answered, before each honest request. */
  readonly before?: readonly Damage[];
  /** Done to every reply, or to those of one method. */
  readonly reply?: Damage;
  readonly onlyMethod?: string;
  /** What came of each damaged request. */
  readonly onOutcome?: (method: string, outcome: Outcome, honest: object) => void;
}

export type Outcome = { readonly reply: object } | { readonly error: unknown };

const replySchemas = {
  CeremonyStep: ceremonyStepReplySchema,
  Accept: acceptReplySchema,
  Certify: statementReplySchema,
  Abort: statementReplySchema,
  Draw: drawReplySchema,
  Open: openReplySchema,
} as const;

async function* stream(messages: readonly object[]): AsyncGenerator<object> {
  yield* messages;
}

/** The coordinator's port to a real key holder, over this wire. */
export function wirePort({ id, service }: TestHolder, options: HolderWireOptions = {}): HolderPort {
  const answer = async (method: string, messages: readonly object[]): Promise<object> => {
    const [first] = messages as [object];
    switch (method) {
      case 'RegisterPlan':
        return service.registerPlan(first);
      case 'CeremonyStep':
        return service.ceremonyStep(first);
      case 'Accept':
        return await service.accept(first);
      case 'Certify':
        return service.certify(first);
      case 'Abort':
        return service.abort(first);
      case 'Draw':
        return await service.draw(stream(messages));
      case 'Open':
        return await service.open(stream(messages));
      default:
        return service.erase(first);
    }
  };
  /** `damage` is done to the message that lies at its place in the stream. */
  const attempt = async (method: string, messages: readonly object[], damage?: Damage): Promise<object> => {
    const hit = damage ? Math.floor(damage.at * 7919) % messages.length : -1;
    const decoded = messages.map((message, i) =>
      through('KeyHolder', method, 'request', message, i === hit ? damage : undefined),
    );
    return await answer(method, decoded);
  };
  const call = async (method: string, messages: readonly object[]): Promise<object> => {
    const outcomes: Outcome[] = [];
    for (const damage of options.before ?? [])
      outcomes.push(
        await attempt(method, messages, damage).then(
          (reply): Outcome => ({ reply }),
          (error: unknown): Outcome => ({ error }),
        ),
      );
    const honest = await attempt(method, messages);
    for (const outcome of outcomes) options.onOutcome?.(method, outcome, honest);
    const { onlyMethod = method, reply } = options;
    return through('KeyHolder', method, 'response', honest, onlyMethod === method ? reply : undefined);
  };
  const parsed = async <M extends keyof typeof replySchemas>(method: M, messages: readonly object[]) =>
    parse(replySchemas[method], await call(method, messages)) as never;
  return {
    holderId: id,
    registerPlan: async (plan, approvals) => void (await call('RegisterPlan', [{ plan, approvals }])),
    ceremonyStep: (request) => parsed('CeremonyStep', [request]),
    accept: (planHash, round, entries) => parsed('Accept', [{ planHash, round, entries }]),
    certify: (request) => parsed('Certify', [request]),
    abort: (planHash, round, reason) => parsed('Abort', [{ planHash, round, reason }]),
    draw: (request, parts) => parsed('Draw', [{ header: request }, ...[...parts].map(openMessage)]),
    open: (request, parts) => parsed('Open', [{ header: request }, ...[...parts].map(openMessage)]),
    erase: async (planHash, round) => void (await call('Erase', [{ planHash, round }])),
  };
}

/** As the coordinator's client sends it. */
const openMessage = ({ deviceId, bodyDigest, holderPart, entry }: OpenPart): { part: object } => ({
  part: { deviceId, bodyDigest, offset: 0, holderPart, ...(entry ? { entry: entry satisfies Entry } : {}) },
});
