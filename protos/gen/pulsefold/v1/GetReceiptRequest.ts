// Original file: protos/pulsefold/v1/rounds.proto


export interface GetReceiptRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
}

export interface GetReceiptRequest__Output {
  'planHash': (Buffer);
  'round': (number);
}
