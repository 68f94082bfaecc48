/**
 * The operator's and researcher's gRPC service.
 *
 * Trusts: the transport's certificate check (role researcher). May be called by: coordinator/coordinator.ts.
 */
import { PulsefoldError } from '../../crypto/error.ts';
import { parse } from '../../protos/fields.ts';
import { abortRoundRequest, submitPlanRequest } from '../../protos/rounds-messages.ts';
import type { ServedService } from '../../protos/transport/server.ts';
import type { Coordinator } from '../coordinator.ts';

export function adminService(coordinator: Coordinator): ServedService {
  return {
    name: 'Admin',
    handlers: {
      getStatus: () => coordinator.status(),
      abortRound: (message: unknown) => {
        const request = parse(abortRoundRequest, message);
        return coordinator.abortRound(
          request.planHash,
          request.round,
          request.reason || 'aborted by the operator',
        );
      },
      submitPlan: (message: unknown) => {
        const request = parse(submitPlanRequest, message);
        if (request.plan.length === 0) throw new PulsefoldError('PLAN_INVALID', 'the plan is empty');
        return { planHash: coordinator.submitPlan(request.plan, request.approvals) };
      },
    },
  };
}
