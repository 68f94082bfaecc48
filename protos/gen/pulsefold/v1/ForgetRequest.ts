// Original file: protos/pulsefold/v1/registrar.proto

import type { Long } from '@grpc/proto-loader';

export interface ForgetRequest {
  'timeMs'?: (number | string | Long);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface ForgetRequest__Output {
  'timeMs': (number);
  'signature': (Buffer);
}
