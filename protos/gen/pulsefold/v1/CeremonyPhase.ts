// Original file: protos/pulsefold/v1/keyholder.proto

export const CeremonyPhase = {
  CEREMONY_PHASE_UNSPECIFIED: 'CEREMONY_PHASE_UNSPECIFIED',
  BEGIN: 'BEGIN',
  COMMIT_KEY: 'COMMIT_KEY',
  REVEAL: 'REVEAL',
  COMBINE: 'COMBINE',
  TEST: 'TEST',
  FINISH: 'FINISH',
} as const;

export type CeremonyPhase =
  | 'CEREMONY_PHASE_UNSPECIFIED'
  | 0
  | 'BEGIN'
  | 1
  | 'COMMIT_KEY'
  | 2
  | 'REVEAL'
  | 3
  | 'COMBINE'
  | 4
  | 'TEST'
  | 5
  | 'FINISH'
  | 6

export type CeremonyPhase__Output = typeof CeremonyPhase[keyof typeof CeremonyPhase]
