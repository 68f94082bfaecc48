/** The benchmark at a size that takes seconds: real processes and sockets, an exact sum, nobody left behind. */
import { describe, expect, it } from 'vitest';
import { runRoundBench } from './round-bench.ts';

const options = { parameters: 200, privacy: true, hosts: 2, atATime: 8, onProgress: () => {} };

describe('bench round', () => {
  it.each([
    ['shares', 'bounded'],
    ['bfv', 'all'],
  ] as const)('runs a whole round over %s with connections %s', async (transport, connections) => {
    const row = await runRoundBench({ ...options, clients: 9, transport, connections });
    expect(row).toMatchObject({ bench: 'round', clients: 9, d: 200, transport });
    expect(row).toMatchObject({ exact: true, wrong: 0, cohort: 9, connections: 9, receipts: 9 });
    expect(row.wall_s).toBeGreaterThan(0);
    expect(row.coordinator_cpu_ms_per_client).toBeGreaterThan(0);
  });

  it('says so when the round cannot be released', async () => {
    // A plan for more clients than a plan may have.
    await expect(runRoundBench({ ...options, clients: 10_001, transport: 'shares' })).rejects.toThrow(
      expect.objectContaining({ code: 'FIELD_OUT_OF_RANGE' }),
    );
  });
});
