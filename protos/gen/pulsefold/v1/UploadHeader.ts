// Original file: protos/pulsefold/v1/rounds.proto


export interface UploadHeader {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'modelHash'?: (Buffer | Uint8Array | string);
  'configHash'?: (Buffer | Uint8Array | string);
  'committeeKeyId'?: (Buffer | Uint8Array | string);
  'digest'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
  'c0Bytes'?: (number);
  'c1Bytes'?: (number);
}

export interface UploadHeader__Output {
  'planHash': (Buffer);
  'round': (number);
  'modelHash': (Buffer);
  'configHash': (Buffer);
  'committeeKeyId': (Buffer);
  'digest': (Buffer);
  'signature': (Buffer);
  'c0Bytes': (number);
  'c1Bytes': (number);
}
