// Original file: protos/pulsefold/v1/keyholder.proto


export interface DrawReply {
  'holderId'?: (string);
  'values'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface DrawReply__Output {
  'holderId': (string);
  'values': (Buffer);
  'signature': (Buffer);
}
