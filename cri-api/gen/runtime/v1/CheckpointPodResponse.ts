// Original file: api.proto


export interface CheckpointPodResponse {
}

export interface CheckpointPodResponse__Output {
}
