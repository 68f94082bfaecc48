/**
 * Public entry point of the cryptography (`pulsefold/crypto`): suites, sealed files, the log, accounting, the cipher.
 *
 * On purpose without random.ts: nothing that can be predicted from a seed is offered beside keys and noise.
 */
export * from './bytes.ts';
export * from './dp/accountants.ts';
export * from './dp/calibration.ts';
export * from './dp/conversion.ts';
export * from './dp/event-list.ts';
export * from './dp/events.ts';
export * from './dp/filter.ts';
export * from './dp/gaussian-dp.ts';
export * from './dp/plan-accounting.ts';
export * from './dp/pld.ts';
export * from './dp/rational.ts';
export * from './dp/rdp.ts';
export * from './dp/zcdp.ts';
export * from './error.ts';
export * from './identity/sealed-file.ts';
export * from './identity/suite.ts';
export * from './log/checkpoint.ts';
export * from './log/cosignature.ts';
export * from './log/leaves.ts';
export * from './log/merkle.ts';
export * from './log/note-keys.ts';
export * from './log/tiles.ts';
export * from './log/tlog-policy.ts';
export * from './log/tlog-proof.ts';
export * from './log/witness-protocol.ts';
export * from './secagg/bfv.ts';
