// Original file: api.proto


export interface ImageFsInfoRequest {
}

export interface ImageFsInfoRequest__Output {
}
