/**
 * What was promised to people and falls due without anybody asking: retention, erasures that a crash has interrupted, and
 * reports that nobody has fetched.
 *
 * Trusts: its own database and clock. May be called by: coordinator/server.ts.
 */
import { finishErasures } from './erasures.ts';
import { forgetEndedPlans } from './retention.ts';
import type { RoundServices } from './services.ts';
import { dropReports } from './subject-access.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

/** Now and again: each once an hour, reports every minute. One that fails does not keep the others, and is tried again. */
export function keepPromises(services: RoundServices): { stop(): void } {
  const { store, clock, logger } = services;
  let stopped = false;
  let last: Promise<void> = Promise.resolve();
  const keep = (what: string, promise: () => unknown): void => {
    last = last.then(async () => {
      try {
        if (!stopped) await promise();
      } catch (error) {
        if (!stopped) logger.error({ err: error }, `${what}: could not be kept up; tried again later`);
      }
    });
  };
  const retention = (): void => {
    for (const plan of forgetEndedPlans(services))
      logger.info({ plan }, 'retention has passed: device ids are gone from the rounds of this plan');
  };
  const reports = (): void => store.transaction('subject-reports', (db) => dropReports(db, clock.nowMs()));
  const hourly = (): void => {
    keep('retention', retention);
    // The runner does so after each round; after a crash or a last round nobody would.
    keep('erasures', () => finishErasures(services));
  };
  hourly();
  keep('reports', reports);
  const timers = [clock.every(HOUR_MS, hourly), clock.every(MINUTE_MS, () => keep('reports', reports))];
  return {
    stop() {
      stopped = true;
      for (const timer of timers) timer.stop();
    },
  };
}
