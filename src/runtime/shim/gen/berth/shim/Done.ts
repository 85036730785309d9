// Original file: native/protocol/shim.proto


export interface Done {
}

export interface Done__Output {
}
