// Original file: protos/pulsefold/v1/keyholder.proto


export interface AbortRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'reason'?: (string);
}

export interface AbortRequest__Output {
  'planHash': (Buffer);
  'round': (number);
  'reason': (string);
}
