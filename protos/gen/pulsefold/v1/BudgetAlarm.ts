// Original file: protos/pulsefold/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface BudgetAlarm {
  'round'?: (number);
  'said'?: (string);
  'ledger'?: (string);
  'timeMs'?: (number | string | Long);
}

export interface BudgetAlarm__Output {
  'round': (number);
  'said': (string);
  'ledger': (string);
  'timeMs': (number);
}
