/** The committed kernels are what their source builds to. */
import { describe, expect, it } from 'vitest';
import { buildKernels, compilerInstalled, KERNEL_DIRECTORIES, kernelsUpToDate } from './kernels.ts';

describe.skipIf(!compilerInstalled())('kernels (skipped where assemblyscript is not installed)', () => {
  it.each(KERNEL_DIRECTORIES)('are built from the committed source: %s', (kernels) => {
    const built = buildKernels(kernels);
    expect(built).toContain('kernelsBase64');
    expect(kernelsUpToDate(kernels, built)).toBe(true);
    expect(kernelsUpToDate(kernels, built.replace("'AGFz", "'AGFy"))).toBe(false);
  });
});
