#include "unpack/failure.h"

#include <errno.h>
#include <string.h>

namespace berth::unpack {

const char* code_name(Code code) {
  switch (code) {
    case Code::kNone:
      return "NONE";
    case Code::kInvalid:
      return "INVALID";
    case Code::kLimit:
      return "LIMIT";
    case Code::kDigest:
      return "DIGEST";
    case Code::kNoSpace:
      return "NO_SPACE";
    case Code::kSystem:
      return "SYSTEM";
  }
  return "SYSTEM";
}

bool Failure::set(Code why, std::string_view text) {
  code = why;
  message = text;
  return false;
}

bool Failure::set_limit(std::string_view option, std::string_view text) {
  limit = option;
  return set(Code::kLimit, text);
}

bool Failure::set_errno(std::string_view doing) {
  error = errno;
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      code = Code::kNoSpace;
      break;
    case EMLINK:
    case EFBIG:
      code = Code::kLimit;
      break;
    case ENAMETOOLONG:
    case EINVAL:
    case ELOOP:
      code = Code::kInvalid;
      break;
    default:
      code = Code::kSystem;
  }
  message = doing;
  message += ": ";
  message += strerror(error);
  return false;
}

}  // namespace berth::unpack
