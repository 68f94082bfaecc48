// Original file: protos/pulsefold/v1/keyholder.proto


export interface StatementSignature {
  'holderId'?: (string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface StatementSignature__Output {
  'holderId': (string);
  'signature': (Buffer);
}
