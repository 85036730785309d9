#include "shim/messages.h"

#include <errno.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <string.h>

#include "common/text.h"

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
  const size_t size = stream->bytes_left;
  char* const place = static_cast<OwnedStrings*>(*arg)->add(size);
  // A zero byte is refused: execve would cut there silently.
  return place != nullptr && pb_read(stream, reinterpret_cast<pb_byte_t*>(place), size) &&
         memchr(place, '\0', size) == nullptr;
}

// What a message takes from its envelope, and its length there.
constexpr size_t kEnvelopeBytes = 16;

}  // namespace

bool decode_message(const pb_msgdesc_t* descriptor, void* message, std::string_view bytes, Fault& fault,
                    std::string_view step, std::string_view name) {
  pb_istream_t stream = stream_of(bytes);
  errno = 0;  // nanopb tells the two apart only in words
  if (pb_decode(&stream, descriptor, message)) return true;
  if (errno == ENOMEM) return fault.kernel(step, "", ENOMEM);
  Text<sizeof fault.message> why("malformed ");
  why.add(name);
  return fault.refuse(FaultKind::kBadMessage, step, "", why.view());
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

pb_callback_t collect_strings(OwnedStrings* into) {
  pb_callback_t callback = {};
  callback.funcs.decode = collect;
  callback.arg = into;
  return callback;
}

bool copy_cgroup_dirs(std::string_view plan, OwnedArray<char>& copy, Fault& fault) {
  copy.reset();
  for (const bool copying : {false, true}) {  // first count, then copy
    size_t at = 0;
    pb_istream_t stream = stream_of(plan);
    while (stream.bytes_left > 0) {
      const char* from = position(&stream);
      pb_wire_type_t wire;
      uint32_t tag;
      bool end;
      if (!pb_decode_tag(&stream, &wire, &tag, &end) || !pb_skip_field(&stream, wire)) {
        return fault.refuse(FaultKind::kBadMessage, "plan", "", "malformed ContainerPlan");
      }
      if (tag != berth_shim_ContainerPlan_cgroup_dirs_tag) continue;
      const size_t length = static_cast<size_t>(position(&stream) - from);
      if (copying) memcpy(copy.data() + at, from, length);
      at += length;
    }
    if (!copying && !copy.make(at)) return fault.kernel("plan", "", ENOMEM);
  }
  return true;
}

bool Encoded::encode(uint32_t tag, const pb_msgdesc_t* descriptor, const void* message) {
  size_t inner = 0;
  if (!pb_get_encoded_size(&inner, descriptor, message)) return false;
  const size_t room = inner + kEnvelopeBytes;
  if (room > kSmallBytes) {
    if (!large_.make(kFrameHeaderBytes + room)) return false;
    bytes_ = large_.data();
  }
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

#undef errno  // a field's name

void encode_error(const Fault& fault, Encoded& encoded) {
  static_assert(sizeof fault.step + sizeof fault.path + sizeof fault.message + 64 <= Encoded::kSmallBytes);
  berth_shim_Error error = {};
  error.kind = static_cast<berth_shim_Error_Kind>(fault.kind);
  error.step = const_cast<char*>(fault.step);
  error.path = const_cast<char*>(fault.path);
  error.errno = fault.error;
  error.message = const_cast<char*>(fault.message);
  (void)encoded.encode(berth_shim_Response_error_tag, berth_shim_Error_fields, &error);
}

}  // namespace berth
