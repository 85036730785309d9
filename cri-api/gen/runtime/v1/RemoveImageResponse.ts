// Original file: api.proto


export interface RemoveImageResponse {
}

export interface RemoveImageResponse__Output {
}
