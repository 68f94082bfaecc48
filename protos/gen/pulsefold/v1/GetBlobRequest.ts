// Original file: protos/pulsefold/v1/rounds.proto


export interface GetBlobRequest {
  'digest'?: (Buffer | Uint8Array | string);
  'offset'?: (number);
}

export interface GetBlobRequest__Output {
  'digest': (Buffer);
  'offset': (number);
}
