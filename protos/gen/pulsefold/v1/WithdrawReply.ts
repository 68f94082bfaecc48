// Original file: protos/pulsefold/v1/rounds.proto


export interface WithdrawReply {
  'receipt'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface WithdrawReply__Output {
  'receipt': (Buffer);
  'signature': (Buffer);
}
