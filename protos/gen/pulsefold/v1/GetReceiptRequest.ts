// Original file: protos/pulsefold/v1/rounds.proto

import type { Long } from '@grpc/proto-loader';

export interface GetReceiptRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'logSizeSeen'?: (number | string | Long);
  'charged'?: (string);
}

export interface GetReceiptRequest__Output {
  'planHash': (Buffer);
  'round': (number);
  'logSizeSeen': (number);
  'charged': (string);
}
