/**
 * Writes what a run leaves for readers: plan, model, certificates, opened sums, ledger, log. No secret, no identifier
 * of a device is in it; certificates name the cohort by its Merkle root.
 *
 * Layout (docs/protocol.md, "Run directory"): plan.json, approvals.json, model.json, rounds/N.json, ledger.json, alarms.json,
 * log/leaves.ndjson, log/tile/, log/checkpoint, log/key, log/policy. Trusts: the store. May be called by: coordinator/server.ts.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fromUtf8, toHex, utf8 } from '../crypto/bytes.ts';
import { encodeVerifierKey, type NoteSigner } from '../crypto/log/checkpoint.ts';
import type { ParsedPlan } from '../protos/plan.ts';
import { decodeReals } from '../protos/reals.ts';
import { modelOf } from '../protos/strategies/index.ts';
import { writeFileAtomicSync } from '../protos/transport/atomic-file.ts';
import { weightsFromBytes } from './aggregation/weights.ts';
import type { BudgetLedger } from './ledger/budget-ledger.ts';
import { cohortLeaves } from './rounds/device-rows.ts';
import { hexSignatures } from './rounds/holder-port.ts';
import { budgetAlarms } from './rounds/reconcile.ts';
import * as repository from './rounds/repository.ts';
import type { AppendLog } from './storage/append-log.ts';
import type { Store } from './storage/store.ts';
import type { Witnessing } from './witnessing/witnessing.ts';

export interface ExportParts {
  readonly store: Store;
  readonly ledger: BudgetLedger;
  readonly log: AppendLog;
  readonly signer: NoteSigner;
  readonly runDirectory: string;
  readonly witnessing?: Witnessing;
}

export function exportRun(parts: ExportParts, parsed: ParsedPlan): void {
  const { store, ledger, log, signer, runDirectory, witnessing } = parts;
  mkdirSync(join(runDirectory, 'rounds'), { recursive: true });
  const write = (name: string, text: string) =>
    writeFileAtomicSync(join(runDirectory, name), utf8(`${text}\n`), 0o644);
  write('plan.json', fromUtf8(parsed.bytes));
  store.read('export', (db) => {
    const plan = repository.getPlan(db, parsed.hashHex)!;
    write('approvals.json', plan.approvals);
    const model = repository.getBlob(db, plan.model_hash);
    // A plan that failed before its first round has none.
    if (model) write('model.json', JSON.stringify(modelFile(parsed, plan.model_hash, model)));
    for (const row of repository.listRounds(db, parsed.hashHex))
      write(`rounds/${row.round}.json`, JSON.stringify(roundFile(db, parsed, row)));
  });
  // Without the devices' names.
  const alarms = store
    .read('budget-alarms', budgetAlarms)
    .filter(({ plan }) => plan === parsed.hashHex)
    .map(({ round, said, ledger: charged, timeMs }) => ({ round, said, ledger: charged, timeMs }));
  write('alarms.json', JSON.stringify({ alarms }));
  write('ledger.json', JSON.stringify({ events: ledger.events() }));
  const note = log.export(runDirectory, [signer], (plain) => witnessing?.withCosignatures(plain) ?? plain);
  write('log/key', encodeVerifierKey(signer));
  if (!witnessing) return;
  writeFileAtomicSync(join(runDirectory, 'log', 'policy'), utf8(witnessing.policyText()), 0o644);
  witnessing.exported(join(runDirectory, 'log'), note);
}

function modelFile(parsed: ParsedPlan, modelHash: string, bytes: Uint8Array): object {
  const blob = weightsFromBytes(bytes);
  const weights = modelOf(parsed.plan, blob);
  const companion = blob.subarray(weights.length);
  return {
    planHash: parsed.hashHex,
    spec: parsed.plan.model,
    features: parsed.plan.features,
    modelHash,
    weights: [...weights],
    // What the strategy sends with it; the hash binds both (protos/strategies).
    ...(companion.length > 0 ? { companion: [...companion] } : {}),
  };
}

function cohortLeafHashes(
  db: Parameters<typeof repository.getSum>[0],
  parsed: ParsedPlan,
  row: repository.RoundRow,
  cohort: readonly string[],
): string[] {
  return cohortLeaves(db, { ...row, plan: parsed.hashHex }, cohort).hashes.map(toHex);
}

/** What the partition was drawn from, for whoever has the plan to check. */
const draws = (db: Parameters<typeof repository.getSum>[0], parsed: ParsedPlan, round: number): object[] =>
  repository.drawsOf(db, parsed.hashHex, round).map(({ holderId, values, signature }) => ({
    holderId,
    values: toHex(values),
    signature: toHex(signature),
  }));

function roundFile(
  db: Parameters<typeof repository.getSum>[0],
  parsed: ParsedPlan,
  row: repository.RoundRow,
): object {
  const signatures = (kind: repository.StatementKind) =>
    hexSignatures(repository.statementSignatures(db, parsed.hashHex, row.round, kind));
  const state = repository.loadRoundState(db, parsed.hashHex, row);
  const sum = repository.getSum(db, parsed.hashHex, row.round);
  const digits = sum ? new Int32Array(sum.digits.slice().buffer) : null;
  return {
    planHash: parsed.hashHex,
    round: row.round,
    kind: state.kind,
    phase: row.phase,
    message: state.message,
    invited: state.invited.length,
    uploaded: state.uploaded.length,
    cohortCount: state.cohort?.length ?? 0,
    modelHash: row.model_hash,
    configHash: row.config_hash,
    committeeKeyId: row.committee_key_id,
    certificate: { signatures: signatures('certificate') },
    ...(state.cohort ? { cohortLeafHashes: cohortLeafHashes(db, parsed, row, state.cohort) } : {}),
    abort: state.abortReason ? { reason: state.abortReason, signatures: signatures('abort') } : null,
    sum: digits && sum ? { digits: [...digits], hash: sum.hash, activeSet: sum.activeSet } : null,
    ...(sum?.groups ? { groups: sum.groups, draws: draws(db, parsed, row.round) } : {}),
    summary: row.summary ? decodeReals(JSON.parse(row.summary)) : null,
  };
}
