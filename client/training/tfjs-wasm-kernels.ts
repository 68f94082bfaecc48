/**
 * Two gradient kernels that tfjs-backend-wasm 4.22 lacks: of a convolution's filter (Conv2DBackpropFilter) and of rows
 * gathered from a table (UnsortedSegmentSum). Sums are doubles, so they are at least as exact as the cpu backend's.
 *
 * Trusts: tfjs-core, which has checked shapes. May be called by: tfjs-load.ts, once the wasm backend is registered.
 */
import type { KernelConfig, TensorInfo } from '@tensorflow/tfjs-core';
import { ensure } from '../../crypto/error.ts';
import type { Tfjs } from './tfjs-network.ts';

/** What is used of the wasm backend. */
interface WasmBackend {
  /** Allocates, which may move the views. */
  makeOutput(shape: number[], dtype: string): TensorInfo;
  typedArrayFromHeap(tensor: TensorInfo): Float32Array | Int32Array;
}

interface KernelCall {
  readonly inputs: Readonly<Record<string, TensorInfo>>;
  readonly backend: WasmBackend;
  readonly attrs: Readonly<Record<string, unknown>>;
}

/** Registers what is missing; does nothing for a kernel that a later version of the backend brings itself. */
export function registerMissingWasmKernels(tf: Tfjs): void {
  const kernels: Record<string, (call: KernelCall) => TensorInfo> = {
    Conv2DBackpropFilter: (call) => convolutionFilterGradient(tf, call),
    UnsortedSegmentSum: segmentSum,
  };
  for (const [kernelName, kernel] of Object.entries(kernels))
    if (!tf.getKernel(kernelName, 'wasm')) {
      const kernelFunc = kernel as unknown as KernelConfig['kernelFunc'];
      tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc });
    }
}

/** dF[h, w, c, f] = Σ x[b, y·stride + h − top, z·stride + w − left, c] · dy[b, y, z, f]. */
function convolutionFilterGradient(tf: Tfjs, { inputs, backend, attrs }: KernelCall): TensorInfo {
  const { x, dy } = inputs as { x: TensorInfo; dy: TensorInfo };
  ensure(attrs.dataFormat === 'NHWC', 'INTERNAL', 'the filter gradient takes channels last');
  const filterShape = attrs.filterShape as [number, number, number, number];
  const info = tf.backend_util.computeConv2DInfo(
    x.shape as [number, number, number, number],
    filterShape,
    attrs.strides as [number, number],
    1,
    attrs.pad as 'valid',
    attrs.dimRoundingMode as 'floor' | undefined,
  );
  const out = backend.makeOutput(filterShape, 'float32');
  const xs = backend.typedArrayFromHeap(x);
  const dys = backend.typedArrayFromHeap(dy);
  const { inChannels, outChannels, filterWidth, outWidth, inWidth } = info;
  const sums = new Float64Array(info.filterHeight * filterWidth * inChannels * outChannels);
  for (let batch = 0; batch < info.batchSize; batch++)
    for (let outRow = 0; outRow < info.outHeight; outRow++)
      for (let h = 0; h < info.filterHeight; h++) {
        const row = outRow * info.strideHeight + h - info.padInfo.top;
        if (row < 0 || row >= info.inHeight) continue;
        const xRow = (batch * info.inHeight + row) * inWidth;
        const dyRow = (batch * info.outHeight + outRow) * outWidth;
        for (let outColumn = 0; outColumn < outWidth; outColumn++)
          for (let w = 0; w < filterWidth; w++) {
            const column = outColumn * info.strideWidth + w - info.padInfo.left;
            if (column < 0 || column >= inWidth) continue;
            const dyAt = (dyRow + outColumn) * outChannels;
            const sumAt = (h * filterWidth + w) * inChannels * outChannels;
            addOuter(sums, sumAt, xs, (xRow + column) * inChannels, inChannels, dys, dyAt, outChannels);
          }
      }
  backend.typedArrayFromHeap(out).set(sums);
  return out;
}

/** sums[c, f] += x[c]·y[f]. */
function addOuter(
  sums: Float64Array,
  sumAt: number,
  xs: ArrayLike<number>,
  xAt: number,
  xCount: number,
  ys: ArrayLike<number>,
  yAt: number,
  yCount: number,
): void {
  for (let c = 0; c < xCount; c++) {
    const value = xs[xAt + c]!;
    const at = sumAt + c * yCount;
    for (let f = 0; f < yCount; f++) sums[at + f] = sums[at + f]! + value * ys[yAt + f]!;
  }
}

/** out[s, …] = Σ x[i, …] over the i with segmentIds[i] = s; ids outside of the segments are left out. */
function segmentSum({ inputs, backend, attrs }: KernelCall): TensorInfo {
  const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
  const segments = attrs.numSegments as number;
  const shape = x.shape.slice(segmentIds.shape.length);
  const width = shape.reduce((product, size) => product * size, 1);
  const out = backend.makeOutput([segments, ...shape], x.dtype);
  const values = backend.typedArrayFromHeap(x);
  const ids = backend.typedArrayFromHeap(segmentIds);
  const sums = new Float64Array(segments * width);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (id < 0 || id >= segments) continue;
    for (let j = 0; j < width; j++) sums[id * width + j] = sums[id * width + j]! + values[i * width + j]!;
  }
  backend.typedArrayFromHeap(out).set(sums);
  return out;
}
