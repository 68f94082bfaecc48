// Original file: protos/pulsefold/v1/rounds.proto

import type { Long } from '@grpc/proto-loader';

export interface EraseDeviceRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'pseudonym'?: (Buffer | Uint8Array | string);
  'timeMs'?: (number | string | Long);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface EraseDeviceRequest__Output {
  'planHash': (Buffer);
  'pseudonym': (Buffer);
  'timeMs': (number);
  'signature': (Buffer);
}
