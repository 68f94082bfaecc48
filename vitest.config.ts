import { defineConfig } from 'vitest/config';

// The fast suite (`npm test`). Slow or multi-process suites are named *.slow.test.ts and have their own script.
export default defineConfig({
  test: {
    include: ['{protos,crypto,client,coordinator,registrar,keyholder,auditor,experiments,cli}/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/*.slow.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Vitest leaves one core free, which is half of a machine with two.
    maxWorkers: 2,
  },
});
