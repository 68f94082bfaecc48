// Original file: protos/pulsefold/v1/keyholder.proto


export interface Rejection {
  'deviceId'?: (string);
  'code'?: (string);
  'reason'?: (string);
}

export interface Rejection__Output {
  'deviceId': (string);
  'code': (string);
  'reason': (string);
}
