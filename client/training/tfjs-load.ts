/**
 * Loads TensorFlow.js backends one by one, quietly, and without what they do to the process.
 *
 * For: engine.ts only. Trusts: the installed packages. Only tfjs-core and the cpu and wasm backends are
 * required by name (the umbrella package is three times the size); tfjs-layers is not needed: engines spell
 * out both passes.
 */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { TrainEngine } from './engine.ts';
import { TfjsEngine } from './tfjs-engine.ts';
import type { Tfjs } from './tfjs-network.ts';
import { registerMissingWasmKernels } from './tfjs-wasm-kernels.ts';

// The packages' ESM builds use extensionless imports Node refuses; their "main" is CommonJS.
const require = createRequire(import.meta.url);

function core(): Tfjs {
  const tf = require('@tensorflow/tfjs-core') as Tfjs;
  // Silences "Hi, looks like you are running TensorFlow.js in Node.js" and kernel chatter; inputs are
  // checked by us.
  tf.enableProdMode();
  return tf;
}

async function activate(tf: Tfjs, backend: string): Promise<void> {
  ensure(await tf.setBackend(backend), 'UNAVAILABLE', `the ${backend} backend did not initialise`);
  await tf.ready();
}

const fatalEvents = ['uncaughtException', 'unhandledRejection'] as const;

/**
 * Emscripten's start-up code installs process-wide handlers that rethrow; they would hide other parts' errors
 * behind wasm stack traces. Removes whatever `load` added.
 */
async function withoutNewProcessHandlers(load: () => Promise<void>): Promise<void> {
  const before = fatalEvents.map(
    (event) => new Set<unknown>(process.listeners(event as 'uncaughtException')),
  );
  await load();
  fatalEvents.forEach((event, i) => {
    for (const listener of process.listeners(event as 'uncaughtException'))
      if (!before[i]!.has(listener)) process.removeListener(event, listener as () => void);
  });
}

export async function loadTfjsWasm(skipped: TrainEngine['skipped']): Promise<TrainEngine> {
  const tf = core();
  const wasm = require('@tensorflow/tfjs-backend-wasm') as { setWasmPaths(directory: string): void };
  // Threads need SharedArrayBuffer workers that tfjs does not support in Node; SIMD is detected by tfjs
  // itself.
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  await withoutNewProcessHandlers(async () => {
    if (!tf.engine().registry.wasm)
      wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
    await activate(tf, 'wasm');
  });
  registerMissingWasmKernels(tf);
  return new TfjsEngine('tfjs-wasm', tf, 'wasm', skipped);
}

export async function loadTfjsCpu(skipped: TrainEngine['skipped']): Promise<TrainEngine> {
  const tf = core();
  require('@tensorflow/tfjs-backend-cpu');
  await activate(tf, 'cpu');
  return new TfjsEngine('tfjs-cpu', tf, 'cpu', skipped);
}

/**
 * tfjs-node 4.22 calls helpers Node 23 removed from node:util (tfjs #8425, fixed but never released). isArray is
 * still there in Node 24 but prints a deprecation warning; its replacement is what it calls.
 */
export function restoreRemovedUtilities(util: Record<string, unknown>): void {
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray = Array.isArray;
}

/**
 * `packageName` may also be an absolute path to an unpacked package (docs/tfjs-node.md). Resolved and loaded by
 * the same `require`, so NODE_PATH decides both.
 */
export async function loadTfjsNode(
  skipped: TrainEngine['skipped'],
  packageName = '@tensorflow/tfjs-node',
): Promise<TrainEngine> {
  try {
    require.resolve(packageName);
  } catch {
    throw new PulsefoldError(
      'UNAVAILABLE',
      'not installed; npm leaves this optional package out when its native library cannot be downloaded',
    );
  }
  restoreRemovedUtilities(require('node:util') as Record<string, unknown>);
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  const tf = require(packageName) as Tfjs;
  tf.enableProdMode();
  await activate(tf, 'tensorflow');
  return new TfjsEngine('tfjs-node', tf, 'tensorflow', skipped);
}
