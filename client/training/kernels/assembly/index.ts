/**
 * What the compiled training module exports. Pointers are byte offsets into the exported memory, which the caller
 * (../machine.ts) lays out and checks.
 *
 * AssemblyScript, built by cli/checks/kernels.ts into client/training/kernels/kernels.generated.ts. No allocator, no
 * import. Single floats throughout and no fused operations: the same bits on every machine, and the bits of the
 * plain twin (../testing-twin.ts). May be called by: client/training/kernels only.
 */
/** First byte that the module does not use itself. */
export const heapBase: usize = __heap_base;

export { accumulate, apply, gradients, predict, trainMany } from './train';
export { allFinite, pack, unpack } from './net';
