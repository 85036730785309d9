#include "shim/messages.h"

#include <errno.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>

#undef errno  // the field of that name is written here; this file makes no system call

namespace berth {
namespace {

pb_istream_t stream_of(std::string_view bytes) {
  return pb_istream_from_buffer(reinterpret_cast<const pb_byte_t*>(bytes.data()), bytes.size());
}

// Where a buffer stream stands: nanopb keeps the next byte's address in its state.
const char* position(const pb_istream_t* stream) {
  return static_cast<const char*>(stream->state);
}

bool remember(pb_istream_t* stream, const pb_field_t*, void** arg) {
  auto* where = static_cast<std::string_view*>(*arg);
  *where = {position(stream), stream->bytes_left};
  return pb_read(stream, nullptr, stream->bytes_left);
}

bool collect(pb_istream_t* stream, const pb_field_t*, void** arg) {
  auto* into = static_cast<StringVector*>(*arg);
  if (into->count + 2 > into->room) {
    const size_t room = into->room == 0 ? 32 : into->room * 2;
    void* grown = realloc(into->items, room * sizeof(char*));
    if (grown == nullptr) return false;
    into->items = static_cast<char**>(grown);
    into->room = room;
  }
  const size_t size = stream->bytes_left;
  char* copy = static_cast<char*>(malloc(size + 1));
  // A zero byte is refused: execve would cut there silently.
  if (copy == nullptr || !pb_read(stream, reinterpret_cast<pb_byte_t*>(copy), size) ||
      memchr(copy, '\0', size) != nullptr) {
    free(copy);
    return false;
  }
  copy[size] = '\0';
  into->items[into->count++] = copy;
  into->items[into->count] = nullptr;
  return true;
}

}  // namespace

bool decode_message(const pb_msgdesc_t* descriptor, void* message, std::string_view bytes) {
  pb_istream_t stream = stream_of(bytes);
  return pb_decode(&stream, descriptor, message);
}

void release_message(const pb_msgdesc_t* descriptor, void* message) {
  pb_release(descriptor, message);
}

bool decode_call(std::string_view payload, Call& call) {
  pb_istream_t stream = stream_of(payload);
  pb_wire_type_t wire;
  uint32_t tag;
  bool end;
  if (!pb_decode_tag(&stream, &wire, &tag, &end) || wire != PB_WT_STRING) return false;
  pb_istream_t body;
  if (!pb_make_string_substream(&stream, &body)) return false;
  call.tag = tag;
  call.body = {position(&body), body.bytes_left};
  return pb_read(&body, nullptr, body.bytes_left) && pb_close_string_substream(&stream, &body) &&
         stream.bytes_left == 0;
}

pb_callback_t remember_bytes(std::string_view* where) {
  pb_callback_t callback = {};
  callback.funcs.decode = remember;
  callback.arg = where;
  return callback;
}

pb_callback_t collect_strings(StringVector* into) {
  pb_callback_t callback = {};
  callback.funcs.decode = collect;
  callback.arg = into;
  return callback;
}

bool copy_cgroup_dirs(std::string_view plan, char** bytes, size_t* size) {
  *bytes = nullptr;
  *size = 0;
  for (const bool copying : {false, true}) {  // first count, then copy
    if (copying && *size == 0) return true;
    if (copying && (*bytes = static_cast<char*>(malloc(*size))) == nullptr) return false;
    size_t at = 0;
    pb_istream_t stream = stream_of(plan);
    while (stream.bytes_left > 0) {
      const char* from = position(&stream);
      pb_wire_type_t wire;
      uint32_t tag;
      bool end;
      if (!pb_decode_tag(&stream, &wire, &tag, &end) || !pb_skip_field(&stream, wire)) return false;
      if (tag != berth_shim_ContainerPlan_cgroup_dirs_tag) continue;
      const size_t length = static_cast<size_t>(position(&stream) - from);
      if (copying) memcpy(*bytes + at, from, length);
      at += length;
    }
    *size = at;
  }
  return true;
}

Encoded::~Encoded() {
  free(bytes_);
}

bool Encoded::encode(uint32_t tag, const pb_msgdesc_t* descriptor, const void* message) {
  size_t inner = 0;
  if (!pb_get_encoded_size(&inner, descriptor, message)) return false;
  const size_t room = inner + 16;
  bytes_ = static_cast<char*>(malloc(kFrameHeaderBytes + room));
  if (bytes_ == nullptr) return false;
  pb_ostream_t stream = pb_ostream_from_buffer(reinterpret_cast<pb_byte_t*>(bytes_ + kFrameHeaderBytes), room);
  if (tag != 0 && (!pb_encode_tag(&stream, PB_WT_STRING, tag) || !pb_encode_varint(&stream, inner))) return false;
  if (!pb_encode(&stream, descriptor, message)) return false;
  size_ = stream.bytes_written;
  return true;
}

std::string_view Encoded::frame(FrameType type, uint32_t stream) {
  uint8_t header[kFrameHeaderBytes];
  write_header({static_cast<uint32_t>(size_), stream, type}, header);
  memcpy(bytes_, header, sizeof header);
  return {bytes_, kFrameHeaderBytes + size_};
}

Encoded encode_error(const Fault& fault) {
  berth_shim_Error error = {};
  error.kind = static_cast<berth_shim_Error_Kind>(fault.kind);
  error.step = const_cast<char*>(fault.step);
  error.path = const_cast<char*>(fault.path);
  error.errno = fault.error;
  error.message = const_cast<char*>(fault.message);
  Encoded encoded;
  encoded.encode(berth_shim_Response_error_tag, berth_shim_Error_fields, &error);
  return encoded;
}

}  // namespace berth
