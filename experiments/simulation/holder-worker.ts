/**
 * The thread of holder-thread.ts.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { HolderBench, type HolderSetup } from './holder-thread.ts';
import { serve } from './threads.ts';

serve<HolderBench>(parentPort!, await HolderBench.open(workerData as HolderSetup));
