// Original file: protos/pulsefold/v1/keyholder.proto


export interface OpenReply {
  'holderId'?: (string);
  'partial'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface OpenReply__Output {
  'holderId': (string);
  'partial': (Buffer);
  'signature': (Buffer);
}
