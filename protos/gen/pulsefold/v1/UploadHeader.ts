// Original file: protos/pulsefold/v1/rounds.proto


export interface UploadHeader {
  'configHash'?: (Buffer | Uint8Array | string);
  'digest'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
  'bodyBytes'?: (number);
  'holderBytes'?: (number);
}

export interface UploadHeader__Output {
  'configHash': (Buffer);
  'digest': (Buffer);
  'signature': (Buffer);
  'bodyBytes': (number);
  'holderBytes': (number);
}
