import { defineConfig } from 'vitest/config';

// Multi-process and long suites (`npm run test:slow`); one file at a time, because each brings its own processes.
export default defineConfig({
  test: {
    include: [
      '{protos,crypto,client,coordinator,registrar,keyholder,auditor,experiments,cli}/**/*.slow.test.ts',
    ],
    exclude: ['**/node_modules/**'],
    setupFiles: 'cli/checks/property-seed.ts',
    testTimeout: 300_000,
    hookTimeout: 300_000,
    pool: 'forks',
    fileParallelism: false,
  },
});
