// Original file: protos/pulsefold/v1/keyholder.proto


export interface GetHolderInfoRequest {
}

export interface GetHolderInfoRequest__Output {
}
