/** The committed kernels are what their source builds to. */
import { describe, expect, it } from 'vitest';
import { buildKernels, compilerInstalled, kernelsUpToDate } from './kernels.ts';

describe.skipIf(!compilerInstalled())('kernels (skipped where assemblyscript is not installed)', () => {
  it('are built from the committed source', () => {
    const built = buildKernels();
    expect(built).toContain('kernelsBase64');
    expect(kernelsUpToDate(built)).toBe(true);
    expect(kernelsUpToDate(built.replace("'AGFz", "'AGFy"))).toBe(false);
  });
});
