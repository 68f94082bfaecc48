/** Public entry point of the wire formats (`pulsefold/protos`): plans, round configurations, signed statements, receipts. */
export * from './features.ts';
export * from './model.ts';
export * from './plan.ts';
export * from './receipt.ts';
export * from './round-config.ts';
export * from './statements.ts';
