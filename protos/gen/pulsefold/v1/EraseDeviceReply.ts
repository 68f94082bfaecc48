// Original file: protos/pulsefold/v1/rounds.proto


export interface EraseDeviceReply {
  'receipt'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface EraseDeviceReply__Output {
  'receipt': (Buffer);
  'signature': (Buffer);
}
