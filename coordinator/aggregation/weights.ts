/** Model weights as bytes: little-endian float32, the form that is hashed and sent. */
import { ensure } from '../../crypto/error.ts';

/** Whether this machine writes floats as they are sent. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

export function weightsToBytes(weights: Float32Array): Uint8Array {
  if (IS_LITTLE_ENDIAN) return new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength).slice();
  const bytes = new Uint8Array(weights.length * 4);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < weights.length; i++) view.setFloat32(4 * i, weights[i]!, true);
  return bytes;
}

export function weightsFromBytes(bytes: Uint8Array): Float32Array {
  ensure(
    bytes.length % 4 === 0,
    'MALFORMED_MESSAGE',
    'weights are float32, so their length is a multiple of 4',
  );
  if (IS_LITTLE_ENDIAN) {
    const weights = new Float32Array(bytes.length / 4);
    new Uint8Array(weights.buffer).set(bytes);
    return weights;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}
