// Original file: protos/pulsefold/v1/admin.proto


export interface AbortRoundRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'reason'?: (string);
}

export interface AbortRoundRequest__Output {
  'planHash': (Buffer);
  'round': (number);
  'reason': (string);
}
