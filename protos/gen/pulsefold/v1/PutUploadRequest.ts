// Original file: protos/pulsefold/v1/rounds.proto

import type { UploadHeader as _pulsefold_v1_UploadHeader, UploadHeader__Output as _pulsefold_v1_UploadHeader__Output } from '../../pulsefold/v1/UploadHeader.ts';

export interface PutUploadRequest {
  'header'?: (_pulsefold_v1_UploadHeader | null);
  'offset'?: (number);
  'data'?: (Buffer | Uint8Array | string);
}

export interface PutUploadRequest__Output {
  'header': (_pulsefold_v1_UploadHeader__Output | null);
  'offset': (number);
  'data': (Buffer);
}
