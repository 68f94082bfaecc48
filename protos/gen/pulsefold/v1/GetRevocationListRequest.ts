// Original file: protos/pulsefold/v1/registrar.proto


export interface GetRevocationListRequest {
}

export interface GetRevocationListRequest__Output {
}
