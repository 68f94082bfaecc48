// Original file: protos/pulsefold/v1/keyholder.proto


export interface StatementReply {
  'holderId'?: (string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface StatementReply__Output {
  'holderId': (string);
  'signature': (Buffer);
}
