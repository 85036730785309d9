// Original file: native/protocol/shim.proto


export interface GetState {
}

export interface GetState__Output {
}
