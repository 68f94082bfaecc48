// Original file: protos/pulsefold/v1/rounds.proto

import type { Long } from '@grpc/proto-loader';

export interface WithdrawRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'pseudonym'?: (Buffer | Uint8Array | string);
  'scope'?: (string);
  'timeMs'?: (number | string | Long);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface WithdrawRequest__Output {
  'planHash': (Buffer);
  'pseudonym': (Buffer);
  'scope': (string);
  'timeMs': (number);
  'signature': (Buffer);
}
