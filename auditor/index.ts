/** Public entry point of the auditor (`pulsefold/auditor`): re-check an exported run offline, without any secret. */
export { chargeOf, epsilonOf, type MechanismTerms } from './accountant.ts';
export { formatAudit } from './report.ts';
export { type AuditResult, type AuditTrust, noteVerifierOf, verifyRunDirectory } from './verify.ts';
export { type RunningWitness, runWitness } from './witness/server.ts';
