// Original file: protos/pulsefold/v1/keyholder.proto


export interface GetHolderInfoReply {
  'holderId'?: (string);
  'signingPublicKey'?: (Buffer | Uint8Array | string);
  'sealingPublicKey'?: (Buffer | Uint8Array | string);
}

export interface GetHolderInfoReply__Output {
  'holderId': (string);
  'signingPublicKey': (Buffer);
  'sealingPublicKey': (Buffer);
}
