// Original file: protos/pulsefold/v1/rounds.proto


export interface GetUploadStateRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'digest'?: (Buffer | Uint8Array | string);
}

export interface GetUploadStateRequest__Output {
  'planHash': (Buffer);
  'round': (number);
  'digest': (Buffer);
}
