// Original file: api.proto


export interface CheckpointContainerResponse {
}

export interface CheckpointContainerResponse__Output {
}
