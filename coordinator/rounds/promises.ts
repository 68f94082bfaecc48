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

const LOOK_MS = 3_600_000;

/** Now and every hour. One that fails does not keep the others, and is tried again. */
export function keepPromises(services: RoundServices): { stop(): void } {
  const { store, clock, logger } = services;
  const looks: [string, () => unknown][] = [
    [
      'retention',
      () => {
        for (const plan of forgetEndedPlans(services))
          logger.info({ plan }, 'retention has passed: device ids are gone from the rounds of this plan');
      },
    ],
    // The runner does so after each round; after a crash or a last round nobody would.
    ['erasures', () => finishErasures(services)],
    ['reports', () => store.transaction('subject-reports', (db) => dropReports(db, clock.nowMs()))],
  ];
  let looking: Promise<void> = Promise.resolve();
  let stopped = false;
  const look = (): void => {
    looking = looking.then(async () => {
      for (const [name, keep] of looks)
        try {
          if (!stopped) await keep();
        } catch (error) {
          if (stopped) return;
          logger.error({ err: error }, `${name}: could not be kept up; tried again within an hour`);
        }
    });
  };
  look();
  const timer = clock.every(LOOK_MS, look);
  return {
    stop() {
      stopped = true;
      timer.stop();
    },
  };
}
