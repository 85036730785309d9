// Original file: api.proto


export interface StopContainerResponse {
}

export interface StopContainerResponse__Output {
}
