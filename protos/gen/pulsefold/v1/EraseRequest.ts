// Original file: protos/pulsefold/v1/keyholder.proto


export interface EraseRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
}

export interface EraseRequest__Output {
  'planHash': (Buffer);
  'round': (number);
}
