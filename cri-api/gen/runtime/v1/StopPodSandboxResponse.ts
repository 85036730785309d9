// Original file: api.proto


export interface StopPodSandboxResponse {
}

export interface StopPodSandboxResponse__Output {
}
