// Original file: protos/pulsefold/v1/rounds.proto


export interface Wait {
  'retryAfterMs'?: (number);
  'reason'?: (string);
}

export interface Wait__Output {
  'retryAfterMs': (number);
  'reason': (string);
}
