// Original file: protos/pulsefold/v1/keyholder.proto


export interface Entry {
  'certificate'?: (Buffer | Uint8Array | string);
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'modelHash'?: (Buffer | Uint8Array | string);
  'configHash'?: (Buffer | Uint8Array | string);
  'committeeKeyId'?: (Buffer | Uint8Array | string);
  'digest'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
  'bodyDigest'?: (Buffer | Uint8Array | string);
  'holderPart'?: (Buffer | Uint8Array | string);
}

export interface Entry__Output {
  'certificate': (Buffer);
  'planHash': (Buffer);
  'round': (number);
  'modelHash': (Buffer);
  'configHash': (Buffer);
  'committeeKeyId': (Buffer);
  'digest': (Buffer);
  'signature': (Buffer);
  'bodyDigest': (Buffer);
  'holderPart': (Buffer);
}
