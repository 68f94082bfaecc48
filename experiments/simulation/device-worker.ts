/**
 * A worker thread of device-pool.ts: the devices' work of the batches that it is given.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { isPulsefoldError } from '../../crypto/error.ts';
import type { PoolCall, PoolReply } from './device-pool.ts';
import { type DeviceSetup, openDevices } from './device-setup.ts';
import type { BatchUploads } from './device-work.ts';

const port = parentPort!;
const devices = await openDevices(workerData as DeviceSetup);

async function answer(call: PoolCall): Promise<BatchUploads | null> {
  if (call.op === 'work') return devices.work(call.round, call.devices);
  devices.openRound(call.terms);
  return null;
}

port.on('message', async (call: PoolCall) => {
  try {
    const uploads = await answer(call);
    const reply: PoolReply = { call: call.call, uploads, error: null };
    port.postMessage(
      reply,
      uploads ? (Object.values(uploads).map(({ buffer }) => buffer) as ArrayBuffer[]) : [],
    );
  } catch (error) {
    const known = isPulsefoldError(error);
    const message = error instanceof Error ? error.message : String(error);
    const reply: PoolReply = {
      call: call.call,
      uploads: null,
      error: { code: known ? error.code : null, message },
    };
    port.postMessage(reply);
  }
});
port.postMessage({ engine: devices.engine });
