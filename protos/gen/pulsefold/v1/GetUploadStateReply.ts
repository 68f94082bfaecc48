// Original file: protos/pulsefold/v1/rounds.proto


export interface GetUploadStateReply {
  'nextOffset'?: (number);
  'acknowledged'?: (boolean);
}

export interface GetUploadStateReply__Output {
  'nextOffset': (number);
  'acknowledged': (boolean);
}
