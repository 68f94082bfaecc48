/**
 * Reads PutUploadRequest without copying its data: the hot message of a round.
 *
 * For: the http2 engine. Trusts: nothing. Only `offset` and `data` are read by hand; the header goes through protobufjs
 * like every other message, so its fields may change in rounds.proto alone. `data` is a view into the message, which
 * must not be reused while it lives. Source: protobuf.dev/programming-guides/encoding. Gives for every valid message
 * what protobufjs gives (tested), and refuses more: wrong wire types and unterminated varints.
 */
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { loadPackage } from './load.ts';

export const PUT_UPLOAD_PATH = '/pulsefold.v1.Rounds/PutUpload';

export interface PutUploadMessage {
  header: object | null;
  offset: number;
  data: Buffer;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const GROUP = 3;
const GROUP_END = 4;
const FIXED32 = 5;
const VARINT_BYTES_MAX = 10;
const GROUP_DEPTH_MAX = 16;

const malformed = (text: string): PulsefoldError =>
  new PulsefoldError('MALFORMED_MESSAGE', `PutUploadRequest: ${text}`);

class Reader {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Low 32 bits of a varint of at most ten bytes, as a uint32 field takes it. */
  varint(): number {
    let value = 0;
    for (let index = 0; index < VARINT_BYTES_MAX; index++) {
      if (this.at >= this.bytes.length) throw malformed('ends within a number');
      const byte = this.bytes[this.at++]!;
      if (index < 5) value |= (byte & 0x7f) << (7 * index);
      if (byte < 0x80) return value >>> 0;
    }
    throw malformed('a number has more than ten bytes');
  }

  /** A view of the next length-delimited field. */
  view(): Buffer {
    const length = this.varint();
    const start = this.at;
    this.advance(length);
    return this.bytes.subarray(start, this.at);
  }

  advance(count: number): void {
    if (count > this.bytes.length - this.at) throw malformed('ends within a field');
    this.at += count;
  }
}

/** Field number and wire type. */
function readTag(reader: Reader): { field: number; wire: number } {
  const tag = reader.varint();
  const field = tag >>> 3;
  if (field === 0) throw malformed('field number 0');
  return { field, wire: tag & 7 };
}

function skip(reader: Reader, field: number, wire: number, depth: number): void {
  if (wire === VARINT) reader.varint();
  else if (wire === FIXED64) reader.advance(8);
  else if (wire === BYTES) reader.view();
  else if (wire === FIXED32) reader.advance(4);
  else if (wire === GROUP && depth < GROUP_DEPTH_MAX) {
    let inner = readTag(reader);
    for (; inner.wire !== GROUP_END; inner = readTag(reader))
      skip(reader, inner.field, inner.wire, depth + 1);
    if (inner.field !== field) throw malformed(`group ${field} ends as ${inner.field}`);
  } else throw malformed(`wire type ${wire} of field ${field} does not belong there`);
}

/** The loader's own decoder for the submessage. */
function headerDecoder(): (bytes: Buffer) => object {
  const definition = loadPackage()['pulsefold.v1.UploadHeader'] as
    | MessageTypeDefinition<object, object>
    | undefined;
  ensure(definition, 'CONFIG_INVALID', 'no message UploadHeader in protos/pulsefold/v1');
  return (bytes) => {
    try {
      return definition.deserialize(bytes);
    } catch {
      throw malformed('the header does not decode');
    }
  };
}

/** The reader of PutUpload requests. It throws MALFORMED_MESSAGE; `data` of its result is a view into `bytes`. */
export function putUploadReader(): (bytes: Buffer) => PutUploadMessage {
  const decodeHeader = headerDecoder();
  return (bytes) => {
    const reader = new Reader(bytes);
    let header: Buffer | undefined;
    let offset = 0;
    let data: Buffer | undefined;
    // A field that comes twice: the last one counts, as everywhere in protobuf.
    while (reader.at < bytes.length) {
      const { field, wire } = readTag(reader);
      if (field === 1 && wire === BYTES) header = reader.view();
      else if (field === 2 && wire === VARINT) offset = reader.varint();
      else if (field === 3 && wire === BYTES) data = reader.view();
      else if (field <= 3) throw malformed(`wire type ${wire} of field ${field} does not belong there`);
      else skip(reader, field, wire, 0);
    }
    return { header: header ? decodeHeader(header) : null, offset, data: data ?? Buffer.alloc(0) };
  };
}
