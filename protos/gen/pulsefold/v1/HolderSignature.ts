// Original file: protos/pulsefold/v1/rounds.proto


export interface HolderSignature {
  'holderId'?: (string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface HolderSignature__Output {
  'holderId': (string);
  'signature': (Buffer);
}
