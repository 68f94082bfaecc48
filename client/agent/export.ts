/**
 * A person's export (docs/person-export.md): what this device keeps, and what the coordinator says it holds.
 *
 * Trusts: whoever opened the vault. May be called by: client/agent/rights.ts, cli/ (`audit prove` of a vault).
 */
import { fromHex, fromUtf8, toHex, utf8 } from '../../crypto/bytes.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import { getSuite, type Suite } from '../../crypto/identity/suite.ts';
import { PERSON_EXPORT_FORMAT, type PersonExport } from '../../protos/person-export.ts';
import { parsePlanBytes } from '../../protos/plan.ts';
import { parseReceipt } from '../../protos/receipt.ts';
import { ledgerPseudonym } from '../../protos/statements.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { type Keepsakes, readKeepsakes } from '../vault/keepsakes.ts';
import { readVaultReceipts } from '../vault/receipts.ts';
import type { Vault } from '../vault/vault.ts';
import { type ClientState, readVaultState, type StoredReceipt } from './store.ts';
import type { VerifiedReport } from './subject-access.ts';

export interface ExportParts {
  readonly identity: IdentityBundle;
  readonly suite: Suite;
  readonly state: ClientState;
  readonly receipts: readonly StoredReceipt[];
  readonly keepsakes: Keepsakes;
  /** undefined: the coordinator was not asked. */
  readonly report: VerifiedReport | undefined;
  /** Local tables as they are read, by the names in the configuration. */
  readonly data: readonly { readonly name: string; readonly text: string }[] | undefined;
  readonly nowMs: number;
  /** Epochs whose pseudonyms are given beside those of the plans that this device has accepted. */
  readonly epochs?: readonly string[];
}

const REASON_CHARACTERS_MAX = 1000;

const decimal = (value: number): string => value.toFixed(45).replace(/\.?0+$/, '');

/**
 * What an open vault keeps, without asking the coordinator; `epochs` as above. Throws NOT_FOUND before the client has
 * enrolled, FILE_SEALED for an entry that was altered.
 */
export async function exportOfVault(
  vault: Vault,
  nowMs: number,
  epochs: readonly string[] = [],
): Promise<PersonExport> {
  const identity = await vault.loadIdentity();
  return personExportOf({
    identity,
    suite: getSuite(identity.suite),
    state: await readVaultState(vault),
    receipts: await readVaultReceipts(vault),
    keepsakes: await readKeepsakes(vault),
    report: undefined,
    data: undefined,
    nowMs,
    epochs,
  });
}

/** A plan that a later schema refuses must not keep everything else from its person. */
function plansOf(keepsakes: Keepsakes) {
  const plans: PersonExport['plans'] = [];
  const unreadablePlans: NonNullable<PersonExport['unreadablePlans']> = [];
  for (const { planHash, plan } of keepsakes.plans)
    try {
      const { name, purpose, epoch } = parsePlanBytes(utf8(plan)).plan;
      plans.push({ planHash, name, purpose, epoch, plan });
    } catch (error) {
      if (!isPulsefoldError(error)) throw error;
      unreadablePlans.push({ planHash, plan, reason: error.message.slice(0, REASON_CHARACTERS_MAX) });
    }
  return { plans, unreadablePlans };
}

export function personExportOf(p: ExportParts): PersonExport {
  const { identity, suite, state, keepsakes, report, data } = p;
  const secret = suite.mac(identity.signing.secretKey, utf8('pulsefold/v1/ledger-secret'));
  const { plans, unreadablePlans } = plansOf(keepsakes);
  const pseudonyms = [...new Set([...plans.map(({ epoch }) => epoch), ...(p.epochs ?? [])])]
    .sort()
    .map((epoch) => ({ epoch, pseudonym: toHex(ledgerPseudonym(suite, secret, epoch)) }));
  return {
    format: PERSON_EXPORT_FORMAT,
    version: 1,
    madeMs: p.nowMs,
    device: {
      deviceId: identity.subjectId,
      suite: identity.suite,
      certificate: identity.certPem,
      pseudonyms,
    },
    plans,
    ...(unreadablePlans.length > 0 ? { unreadablePlans } : {}),
    consents: [...state.consents],
    withdrawals: state.withdrawals.map(({ scope, timeMs, receipt, signature }) => ({
      scope,
      timeMs,
      ...(receipt && signature ? { receipt: fromUtf8(fromHex(receipt)), signature } : {}),
    })),
    receipts: p.receipts.map(({ receipt, signature }) => {
      const { planHash, round } = parseReceipt(receipt);
      return { planHash, round, receipt: fromUtf8(receipt), signature: toHex(signature) };
    }),
    logProofs: [
      ...keepsakes.logProofs.map((proof) => ({ what: 'decision' as const, ...proof })),
      ...(report?.report.logProofs ?? []),
    ],
    charges: Object.entries(state.accounts.charged).map(([pseudonym, { order, amount }]) => ({
      pseudonym,
      order,
      amount: decimal(amount),
    })),
    alarms: [...state.accounts.alarms],
    logs: Object.entries(state.log.seen).map(([coordinatorKey, { note }]) => {
      const alarm = state.log.alarms[coordinatorKey]?.reason;
      return { coordinatorKey, checkpoint: note, ...(alarm === undefined ? {} : { alarm }) };
    }),
    undecided: state.undecided.map(({ planHash, round, digest, progress }) => ({
      planHash,
      round,
      digest,
      progress,
    })),
    ...(report
      ? {
          coordinator: {
            receipt: fromUtf8(report.receiptBytes),
            signature: toHex(report.signature),
            report: report.report,
          },
        }
      : {}),
    ...(data ? { data: data.map(({ name, text }) => ({ name, text })) } : {}),
  };
}
