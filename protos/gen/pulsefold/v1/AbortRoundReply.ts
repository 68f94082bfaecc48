// Original file: protos/pulsefold/v1/admin.proto


export interface AbortRoundReply {
  'aborted'?: (boolean);
  'message'?: (string);
}

export interface AbortRoundReply__Output {
  'aborted': (boolean);
  'message': (string);
}
