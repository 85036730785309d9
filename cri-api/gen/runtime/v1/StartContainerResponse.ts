// Original file: api.proto


export interface StartContainerResponse {
}

export interface StartContainerResponse__Output {
}
