// Original file: protos/pulsefold/v1/keyholder.proto


export interface EraseReply {
  'erased'?: (boolean);
}

export interface EraseReply__Output {
  'erased': (boolean);
}
