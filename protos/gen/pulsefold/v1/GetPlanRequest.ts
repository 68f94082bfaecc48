// Original file: protos/pulsefold/v1/rounds.proto


export interface GetPlanRequest {
}

export interface GetPlanRequest__Output {
}
