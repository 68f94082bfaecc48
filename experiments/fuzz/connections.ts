/**
 * Who talks to whom over the simulated network: the coordinator's port to a key holder, a device's transport to the
 * coordinator. What gRPC does around a message (defaults, the name of a oneof's member) is done here.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import type { RoundsTransport, UploadHeader } from '../../client/agent/transport.ts';
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { type CoordinatorProcess, holderPort } from './coordinator-process.ts';
import type { HolderProcess } from './holder-process.ts';
import type { Life } from './life.ts';
import type { Network } from './network.ts';
import type { FuzzWorld } from './world.ts';

const HOLDER_CALL_MS = 1500;
const DEVICE_CALL_MS = 2500;
/** Bytes of one chunk of a device with an odd number: its uploads take several, a long one no more than some. */
const chunkBytes = ({ bodyBytes, holderBytes }: UploadHeader): number =>
  Math.max(200, Math.ceil((bodyBytes + holderBytes) / 5));

export function portToHolder(network: Network, holder: HolderProcess, caller: Life): HolderPort {
  return holderPort(holder.keys.id, (method, request) =>
    network.call({
      link: holder.name,
      method,
      request,
      caller,
      deadlineMs: HOLDER_CALL_MS,
      callee: () => holder.life,
      handle: (message) => holder.handle(method, message),
    }),
  );
}

export function transportOfDevice(
  network: Network,
  coordinator: CoordinatorProcess,
  { world, index }: { readonly world: FuzzWorld; readonly index: number },
  caller: Life,
): RoundsTransport {
  const identity = world.devices[index]!;
  const call = (method: string, request: object, waitMs = 0): Promise<unknown> =>
    network.call({
      link: `device${index}`,
      method,
      request,
      caller,
      deadlineMs: DEVICE_CALL_MS + waitMs,
      callee: () => coordinator.life,
      handle: (message) => coordinator.handle(identity, method, message),
    });
  const none = new Uint8Array(0);
  const slow = index % 2 === 1;
  const special: Partial<RoundsTransport> = {
    // On the wire the decoder names the member of a oneof that is set.
    checkIn: async (request) => {
      const reply = (await call('checkIn', request, request.waitMs)) as object;
      return { ...reply, outcome: Object.keys(reply)[0] };
    },
    putUpload: (request) =>
      call(
        'putUpload',
        slow ? { ...request, data: request.data.subarray(0, chunkBytes(request.header)) } : request,
      ),
    getReceipt: async (request) => ({
      receipt: none,
      signature: none,
      ...((await call('getReceipt', { logSizeSeen: 0, charged: '', ...request })) as object),
    }),
    close: () => {},
  };
  return new Proxy(special as RoundsTransport, {
    get: (methods, name) =>
      Reflect.get(methods, name) ?? ((request?: object) => call(String(name), request ?? {})),
  });
}
