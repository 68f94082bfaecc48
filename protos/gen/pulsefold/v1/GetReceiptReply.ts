// Original file: protos/pulsefold/v1/rounds.proto


export interface GetReceiptReply {
  'receipt'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
  'retryAfterMs'?: (number);
  'tlogProof'?: (Buffer | Uint8Array | string);
  'logConsistency'?: (Buffer | Uint8Array | string)[];
}

export interface GetReceiptReply__Output {
  'receipt': (Buffer);
  'signature': (Buffer);
  'retryAfterMs': (number);
  'tlogProof': (Buffer);
  'logConsistency': (Buffer)[];
}
