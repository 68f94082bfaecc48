/**
 * What a planted bug may replace in a simulated deployment (planted-bugs are in testing-planted.ts): wrapped ports only,
 * never role code.
 *
 * May be called by: experiments/fuzz.
 */
import type { Sealer } from '../../client/agent/seal.ts';
import type { CoordinatorParts } from './coordinator-process.ts';
import type { DeviceParts } from './device-process.ts';
import type { HolderParts } from './holder-process.ts';
import type { WitnessParts } from './witness-process.ts';

type Coordinator = 'wrapStore' | 'wrapSecagg' | 'betweenLives' | 'wrapAnswer';

export interface PlantedBug {
  readonly witness?: { readonly betweenLives: NonNullable<WitnessParts['betweenLives']> };
  readonly coordinator?: { readonly [Name in Coordinator]?: NonNullable<CoordinatorParts[Name]> };
  readonly holder?: { readonly openStore: NonNullable<HolderParts['openStore']> };
  readonly device?: { readonly wrapStore: NonNullable<DeviceParts['wrapStore']> };
  readonly sealer?: (sealer: Sealer) => Sealer;
}
