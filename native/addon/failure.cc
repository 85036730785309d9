#include "addon/failure.h"

#include <cctype>
#include <cstring>

namespace berth::addon {

std::string errno_name(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : "E" + std::to_string(error);
}

std::string sentence(const Failure& failure) {
  std::string text = failure.call;
  if (!failure.path.empty()) text += " " + failure.path;
  const char* meaning = strerrordesc_np(failure.error);
  std::string why = meaning != nullptr ? meaning : errno_name(failure.error);
  // "I/O error" and "RFS specific error" keep their capitals; a plain word loses its own.
  if (why.size() > 1 && islower(static_cast<unsigned char>(why[1]))) {
    why[0] = static_cast<char>(tolower(static_cast<unsigned char>(why[0])));
  }
  text += ": " + why;
  if (!failure.detail.empty()) text += " (" + failure.detail + ")";
  return text;
}

}  // namespace berth::addon
