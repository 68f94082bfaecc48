// Original file: protos/pulsefold/v1/rounds.proto


export interface GetUploadStateRequest {
  'configHash'?: (Buffer | Uint8Array | string);
  'digest'?: (Buffer | Uint8Array | string);
}

export interface GetUploadStateRequest__Output {
  'configHash': (Buffer);
  'digest': (Buffer);
}
