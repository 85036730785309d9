// Why an unpack ended. One sentence for people, one code for the caller.
#pragma once

#include <string>
#include <string_view>

namespace berth::unpack {

enum class Code {
  kNone,
  kInvalid,  // the bytes are corrupt, hostile or of an unknown kind
  kLimit,    // more of something than the options allow
  kDigest,   // the bytes are not those that were asked for
  kNoSpace,  // ENOSPC, EDQUOT
  kSystem,   // another system call failed
};

const char* code_name(Code code);

struct Failure {
  Code code = Code::kNone;
  std::string entry;  // raw bytes of the name in the archive, or empty
  std::string message;
  int error = 0;      // errno, or 0
  std::string limit;  // the option, without dashes, that the layer is beyond, if it is one

  // Both return false, so that a function can end with `return failure->set(...)`.
  bool set(Code why, std::string_view text);
  bool set_limit(std::string_view option, std::string_view text);
  // Takes errno as it stands.
  bool set_errno(std::string_view doing);
  explicit operator bool() const { return code != Code::kNone; }
};

}  // namespace berth::unpack
