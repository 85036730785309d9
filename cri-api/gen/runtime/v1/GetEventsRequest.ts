// Original file: api.proto


export interface GetEventsRequest {
}

export interface GetEventsRequest__Output {
}
