// What an entry's name means. Pure: no system call looks at a name before it went through here.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "unpack/failure.h"

namespace berth::unpack {

enum class NameKind {
  kRoot,      // "./": the layer's own root directory
  kPlain,     // parent/base
  kWhiteout,  // parent/.wh.base
  kOpaque,    // parent/.wh..wh..opq
  kIgnored,   // other .wh..wh. names: another storage driver's own books
};

struct EntryName {
  NameKind kind = NameKind::kRoot;
  std::string parent;  // clean, relative, "" for the root
  std::string base;    // without the .wh. of a whiteout
};

struct NameLimits {
  size_t max_path = 3072;
  size_t max_depth = 1024;
};

// Splits at slashes; empty and "." parts are dropped, so that an absolute name becomes relative to the root. ".." takes
// the part before it away, at the root nothing, as the peers read names. Refuses parts over 255 bytes, and what is
// longer or deeper than the limits.
bool split_path(std::string_view raw, const NameLimits& limits, std::vector<std::string_view>* parts, Failure* failure);

bool parse_entry_name(std::string_view raw, const NameLimits& limits, EntryName* name, Failure* failure);

// An extended attribute that an archive may set. Those that overlayfs reads would let an image redirect lookups.
bool is_allowed_xattr(std::string_view name);

}  // namespace berth::unpack
