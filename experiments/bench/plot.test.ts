import { expect, it } from 'vitest';
import { type GroupedBars, groupedBars } from './plot.ts';

const plot: GroupedBars = {
  title: 'Bytes & <time>',
  unit: 'bytes',
  groups: ['small', 'large'],
  series: [
    { name: 'one', colour: '#111', values: [1, 100] },
    { name: 'two', colour: '#222', values: [10, null] },
  ],
  reference: { value: 4, label: 'float32' },
};

const barHeights = (svg: string): number[] =>
  [...svg.matchAll(/<rect x="[^"]+" y="[^"]+" width="[^"]+" height="([^"]+)"[^>]*><title>/g)].map(([, h]) =>
    Number(h),
  );

it('draws a bar per value, equal factors as equal heights', () => {
  const heights = barHeights(groupedBars(plot));
  expect(heights).toHaveLength(3);
  const [one, two, large] = heights as [number, number, number];
  expect(two - one).toBeCloseTo((large - one) / 2, 0);
  expect(one).toBeGreaterThan(0);
});

it('escapes text and names the reference', () => {
  const svg = groupedBars(plot);
  expect(svg).toContain('Bytes &amp; &lt;time&gt;');
  expect(svg).not.toContain('<time>');
  expect(svg).toContain('float32');
});

it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuses %s', (value) => {
  const series = [{ name: 'one', colour: '#111', values: [value] }];
  expect(() => groupedBars({ ...plot, groups: ['g'], series })).toThrow(/positive/);
});
