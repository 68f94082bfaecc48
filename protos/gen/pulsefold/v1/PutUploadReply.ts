// Original file: protos/pulsefold/v1/rounds.proto


export interface PutUploadReply {
  'nextOffset'?: (number);
  'acknowledged'?: (boolean);
  'late'?: (boolean);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface PutUploadReply__Output {
  'nextOffset': (number);
  'acknowledged': (boolean);
  'late': (boolean);
  'signature': (Buffer);
}
