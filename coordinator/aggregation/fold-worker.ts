/**
 * A worker thread that folds: reads bodies from the spool's files straight into the folder's memory and adds them up.
 *
 * It is given the plan's bytes and derives the scheme itself. One body is in memory at a time. Calls are carried out in
 * the order of their arrival, so a sum covers every add that was sent before it.
 * Trusts: its own process. May be called by: fold-pool.ts only.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { ensure } from '../../crypto/error.ts';
import { type BodyFolder, openSecagg } from '../../crypto/secagg/scheme.ts';
import { parsePlanBytes } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { readFully } from '../storage/file-spool.ts';
import { type SpoolPlace, segmentName } from '../storage/spool.ts';
import type { FoldCall, FoldReply } from './fold-pool.ts';
import { readBody } from './fold-shard.ts';

interface Fold {
  readonly folder: BodyFolder;
  readonly directory: string;
  readonly files: Map<number, number>;
}

const FILES_MAX = 16;
const folds = new Map<number, Fold>();

function fileOf({ directory, files }: Fold, segment: number): number {
  const known = files.get(segment);
  if (known !== undefined) return known;
  if (files.size >= FILES_MAX) {
    const [oldest, file] = files.entries().next().value!;
    closeSync(file);
    files.delete(oldest);
  }
  const file = openSync(join(directory, segmentName(segment)), 'r');
  files.set(segment, file);
  return file;
}

function foldOf(id: number): Fold {
  const fold = folds.get(id);
  ensure(fold, 'INTERNAL', 'this fold is closed');
  return fold;
}

async function carryOut(call: FoldCall): Promise<Uint8Array | null> {
  switch (call.op) {
    case 'open': {
      const { scheme } = schemeOf(parsePlanBytes(call.plan), call.kind);
      const secagg = await openSecagg();
      await secagg.ready(scheme);
      const folder = secagg.folder(scheme);
      folds.set(call.fold, { folder, directory: call.directory, files: new Map() });
      return null;
    }
    case 'add': {
      const fold = foldOf(call.fold);
      const read = (place: SpoolPlace, target: Uint8Array): void =>
        readFully(fileOf(fold, place.segment), target, place.position, place.length);
      for (const places of call.bodies)
        fold.folder.addRead((target, at) => readBody(places, at, target, read));
      return null;
    }
    case 'sum':
      return foldOf(call.fold).folder.bytes();
    case 'close': {
      for (const file of folds.get(call.fold)?.files.values() ?? []) closeSync(file);
      folds.delete(call.fold);
      return null;
    }
  }
}

let last: Promise<unknown> = Promise.resolve();
parentPort?.on('message', (call: FoldCall) => {
  last = last
    .then(() => carryOut(call))
    .then(
      (sum): FoldReply => ({ call: call.call, sum, error: null }),
      (error: unknown): FoldReply => ({ call: call.call, sum: null, error: (error as Error).message }),
    )
    .then((reply) => parentPort?.postMessage(reply));
});
