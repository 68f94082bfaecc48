// Original file: protos/pulsefold/v1/rounds.proto


export interface ConsentReply {
  'receipt'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface ConsentReply__Output {
  'receipt': (Buffer);
  'signature': (Buffer);
}
