// Original file: api.proto


export interface RuntimeConfigRequest {
}

export interface RuntimeConfigRequest__Output {
}
