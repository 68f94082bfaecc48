// Original file: protos/pulsefold/v1/keyholder.proto


export interface CertifyRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'modelHash'?: (Buffer | Uint8Array | string);
  'configHash'?: (Buffer | Uint8Array | string);
  'committeeKeyId'?: (Buffer | Uint8Array | string);
  'cohortRoot'?: (Buffer | Uint8Array | string);
  'deviceIds'?: (string)[];
}

export interface CertifyRequest__Output {
  'planHash': (Buffer);
  'round': (number);
  'modelHash': (Buffer);
  'configHash': (Buffer);
  'committeeKeyId': (Buffer);
  'cohortRoot': (Buffer);
  'deviceIds': (string)[];
}
