#include "unpack/result.h"

#include <errno.h>
#include <unistd.h>

#include "unpack/json.h"

namespace berth::unpack {
namespace {

constexpr size_t kShownName = 512;

void append_list(std::string* out, const std::vector<std::string>& names) {
  *out += '[';
  for (size_t i = 0; i < names.size(); i++) {
    if (i > 0) *out += ',';
    append_json_string(out, names[i]);
  }
  *out += ']';
}

}  // namespace

std::string to_json(const Result& result) {
  std::string out = R"({"ok":true,"compressed":)";
  append_json_string(&out, result.compressed);
  out += R"(,"diffId":)";
  append_json_string(&out, result.diff_id);
  out += R"(,"streamBytes":)";
  append_json_number(&out, result.stream_bytes);
  out += R"(,"bytes":)";
  append_json_number(&out, result.bytes);
  out += R"(,"inodes":)";
  append_json_number(&out, result.inodes);
  out += R"(,"ignored":)";
  append_json_number(&out, result.ignored);
  out += R"(,"implied":)";
  append_list(&out, result.implied);
  out += R"(,"opaque":)";
  append_list(&out, result.opaque);
  out += "}\n";
  return out;
}

std::string to_json(const Failure& failure) {
  std::string out = R"({"ok":false,"code":)";
  append_json_string(&out, code_name(failure.code));
  out += R"(,"entry":)";
  append_json_string(&out, std::string_view(failure.entry).substr(0, kShownName));
  out += R"(,"message":)";
  append_json_string(&out, std::string_view(failure.message).substr(0, kShownName));
  if (!failure.limit.empty()) {
    out += R"(,"limit":)";
    append_json_string(&out, failure.limit);
  }
  out += R"(,"errno":)";
  append_json_number(&out, static_cast<uint64_t>(failure.error));
  out += "}\n";
  return out;
}

std::string progress_json(uint64_t bytes) {
  std::string out = R"({"progress":)";
  append_json_number(&out, bytes);
  out += "}\n";
  return out;
}

void write_line(int fd, const std::string& text) {
  size_t at = 0;
  while (at < text.size()) {
    const ssize_t n = write(fd, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    at += static_cast<size_t>(n);
  }
}

}  // namespace berth::unpack
