// Original file: protos/pulsefold/v1/rounds.proto


export interface GetBlobReply {
  'data'?: (Buffer | Uint8Array | string);
  'totalBytes'?: (number);
}

export interface GetBlobReply__Output {
  'data': (Buffer);
  'totalBytes': (number);
}
