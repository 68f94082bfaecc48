/**
 * Public face of ShortSum `shares`: exact sums of short integer vectors from masked words and replicated
 * seeds.
 *
 * Trust: the coordinator and any number of clients may be malicious, one of four holders corrupt or offline.
 * One holder misses one seed of every device, and one missing seed leaves the masked vector uniform. Roles
 * import this file only.
 */
export {
  activeSetSize,
  committeeKeyBytes,
  faultyMax,
  holderCount,
  kemOfCommitteeKey,
  type SharesContext,
  seedHashes,
  sharesBodyBytes,
  sharesHolderPartBytes,
  sharesPartialBytes,
  shareWordsMax,
  type WordBits,
} from './layout.ts';
export {
  type OpenedShares,
  type OpenSharesInput,
  openShares,
  SharesOpener,
  type SharesOpenerInput,
} from './open.ts';
export {
  agreedDraws,
  type DrawAnswer,
  drawOf,
  drawValuesBytes,
  PartitionDraw,
  partitionOf,
  partitionSeed,
  partitionSizes,
} from './partition.ts';
export { joinRoundKeys, makeRoundKey, splitRoundKeys } from './round-keys.ts';
export { type SealedShares, sealShares } from './seal.ts';
export { SeedSum, WordFolder } from './sums.ts';
export {
  type ContradictorsInput,
  contradictors,
  groupContradictors,
  splitPartial,
  type UnmaskInput,
  unmask,
} from './unmask.ts';
