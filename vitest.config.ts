import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// Packages, and sources that tests run in processes and threads of their own, are compiled once for all of them.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules', '.cache', 'pulsefold-tests');

const exclude = ['**/node_modules/**', '**/*.slow.test.ts'];
const common = {
  exclude,
  setupFiles: 'cli/checks/property-seed.ts',
  testTimeout: 30_000,
  hookTimeout: 60_000,
  pool: 'forks' as const,
};

// Shows what is not loaded yet.
const NEEDS_A_FRESH_PROCESS = 'crypto/secagg/open-secagg.test.ts';

// The fast suite (`npm test`). Slow or multi-process suites are named *.slow.test.ts and have their own script.
export default defineConfig({
  test: {
    // Vitest leaves one core free, which is half of a machine with two.
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...common,
          name: 'together',
          include: [
            '{protos,crypto,client,coordinator,registrar,keyholder,auditor,experiments,cli}/**/*.test.ts',
          ],
          exclude: [...exclude, NEEDS_A_FRESH_PROCESS],
          // One process for many files: each would load node-seal, TLS and gRPC again. What they share they do not change.
          isolate: false,
        },
      },
      { test: { ...common, name: 'apart', include: [NEEDS_A_FRESH_PROCESS] } },
    ],
  },
});
