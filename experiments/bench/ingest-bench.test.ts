// Goal: the ingest benchmark runs in its processes, checks what arrives, and counts what it says.
import { expect, it } from 'vitest';
import { run } from './ingest-bench.ts';

it('measures all four contenders, over mTLS and without', async () => {
  const seen: number[] = [];
  const rows = await run({
    bytes: [20_000],
    connections: 2,
    streams: 2,
    repeats: 1,
    durationMs: 60,
    onRow: (row) => seen.push(row.bytes),
  });
  expect(rows.map(({ bytes, tls }) => [bytes, tls])).toEqual([
    [20_000, 'mtls'],
    [20_000, 'none'],
  ]);
  expect(seen).toEqual([20_000, 20_000]);
  for (const row of rows) {
    for (const speed of [row.raw_mb_s, row.ours_mb_s, row.stock_client_mb_s, row.grpcjs_mb_s]) {
      expect(speed).toBeGreaterThan(0);
    }
    expect(row.ratio_raw).toBeCloseTo(row.ours_mb_s / row.raw_mb_s, 2);
  }
});
