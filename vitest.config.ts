import { defineConfig } from 'vitest/config';

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
          include: ['{protos,crypto,client,coordinator,registrar,keyholder,auditor}/**/*.test.ts'],
          exclude: [...exclude, NEEDS_A_FRESH_PROCESS],
          // One process for many files: each would load node-seal, TLS and gRPC again. What they share they do not change.
          isolate: false,
        },
      },
      {
        test: {
          ...common,
          name: 'apart',
          include: ['{experiments,cli}/**/*.test.ts', NEEDS_A_FRESH_PROCESS],
        },
      },
    ],
  },
});
