/**
 * What the compiled module exports. Pointers are byte offsets into the exported memory, which the caller lays out.
 *
 * AssemblyScript, built by cli/checks/kernels.ts into crypto/kernels/kernels.generated.ts. No allocator, no import: but
 * for its own constants, below `heapBase`, every byte it touches is one that the caller named.
 * May be called by: crypto/kernels only.
 */
/** First byte that the module does not use itself. */
export const heapBase: usize = __heap_base;

export { decodeSlots, inverseScale, mixedRadix, weight } from './decode';
export { addWeighted, signedResidues, toPlanes, widen } from './message';
export { addPacked, addPackedReduced, pack, reduceSums, sampleUniform, subtractPacked } from './residues';
export { scanGaussian } from './sampler';
export { buildTable, smallestRoot } from './tables';
export { forward, inverse, multiply, prepareFactor } from './transform';
