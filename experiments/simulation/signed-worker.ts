/**
 * A thread of signed-threads.ts: signatures and checks of the devices that it is asked about.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { SignedDevices, type SignedSetup } from './signed-devices.ts';
import { serve } from './threads.ts';

serve<SignedDevices>(parentPort!, new SignedDevices(workerData as SignedSetup));
