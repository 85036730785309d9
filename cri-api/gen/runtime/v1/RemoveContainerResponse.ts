// Original file: api.proto


export interface RemoveContainerResponse {
}

export interface RemoveContainerResponse__Output {
}
