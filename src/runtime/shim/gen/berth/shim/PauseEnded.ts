// Original file: native/protocol/shim.proto


export interface PauseEnded {
}

export interface PauseEnded__Output {
}
