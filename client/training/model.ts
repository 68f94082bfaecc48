/** Re-export: the model specification lives in protos/model.ts because plans embed it. */
export * from '../../protos/model.ts';
export { modelSpecSchema as modelSpec } from '../../protos/model.ts';
