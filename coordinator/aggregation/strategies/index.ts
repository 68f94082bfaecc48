/**
 * The registry of server strategies.
 *
 * Pure. May be called by: coordinator/aggregation.
 */
import { z } from 'zod';
import type { StrategyName } from '../../../protos/plan-training.ts';
import { fedadagrad, fedadagradHyper } from './fedadagrad.ts';
import { fedadam, fedadamHyper } from './fedadam.ts';
import { averageHyper, averaging } from './fedavg.ts';
import { fedavgm, fedavgmHyper } from './fedavgm.ts';
import { fedbuff, fedbuffHyper } from './fedbuff.ts';
import { fednova, fednovaHyper } from './fednova.ts';
import { fedyogi, fedyogiHyper } from './fedyogi.ts';
import { qfedavg, qfedavgHyper } from './qfedavg.ts';
import { scaffold, scaffoldHyper } from './scaffold.ts';
import type { ServerStrategy } from './strategy.ts';

export type { Moments, ServerStrategy, SumTerms } from './strategy.ts';

/** Hyper-parameters of a server step. */
export const serverHyper = z.discriminatedUnion('strategy', [
  averageHyper('fedavg'),
  averageHyper('fedprox'),
  fedavgmHyper,
  fedadamHyper,
  fedyogiHyper,
  fedadagradHyper,
  fednovaHyper,
  scaffoldHyper,
  qfedavgHyper,
  averageHyper('fedper'),
  averageHyper('ditto'),
  fedbuffHyper,
]);
export type ServerHyper = z.infer<typeof serverHyper>;

type Registry = { readonly [Name in StrategyName]: ServerStrategy<Extract<ServerHyper, { strategy: Name }>> };

const registry: Registry = {
  fedavg: averaging('fedavg'),
  fedprox: averaging('fedprox'),
  fedavgm,
  fedadam,
  fedyogi,
  fedadagrad,
  fednova,
  scaffold,
  qfedavg,
  fedper: averaging('fedper'),
  ditto: averaging('ditto'),
  fedbuff,
};

/** A strategy that is handed hyper-parameters of its own kind only. */
export const serverStrategyOf = (name: StrategyName): ServerStrategy<ServerHyper> =>
  registry[name] as ServerStrategy<ServerHyper>;
