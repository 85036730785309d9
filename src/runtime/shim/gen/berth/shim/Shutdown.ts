// Original file: native/protocol/shim.proto


export interface Shutdown {
}

export interface Shutdown__Output {
}
