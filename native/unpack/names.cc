#include "unpack/names.h"

#include <cstddef>

namespace berth::unpack {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kMetaPrefix = ".wh..wh.";
constexpr std::string_view kOpaqueName = ".wh..wh..opq";
constexpr size_t kMaxPart = 255;

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

}  // namespace

bool split_path(std::string_view raw, const NameLimits& limits, std::vector<std::string_view>* parts,
                Failure* failure) {
  parts->clear();
  size_t length = 0;
  for (size_t at = 0; at <= raw.size();) {
    size_t end = raw.find('/', at);
    if (end == std::string_view::npos) end = raw.size();
    const std::string_view part = raw.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts->empty()) parts->pop_back();
      continue;
    }
    if (part.size() > kMaxPart) return failure->set(Code::kInvalid, "a part of the name is longer than 255 bytes");
    length += part.size() + 1;
    if (length > limits.max_path) return failure->set(Code::kLimit, "the name is too long");
    parts->push_back(part);
    if (parts->size() > limits.max_depth) return failure->set(Code::kLimit, "the name has too many parts");
  }
  return true;
}

bool parse_entry_name(std::string_view raw, const NameLimits& limits, EntryName* name, Failure* failure) {
  if (raw.empty()) return failure->set(Code::kInvalid, "an entry without a name");
  std::vector<std::string_view> parts;
  if (!split_path(raw, limits, &parts, failure)) return false;
  *name = EntryName{};
  if (parts.empty()) return true;
  for (size_t i = 0; i + 1 < parts.size(); i++) {
    if (starts_with(parts[i], kMetaPrefix)) {
      name->kind = NameKind::kIgnored;
      return true;
    }
    if (starts_with(parts[i], kWhiteoutPrefix)) {
      return failure->set(Code::kInvalid, "a whiteout cannot be a directory");
    }
    if (i > 0) name->parent += '/';
    name->parent += parts[i];
  }
  const std::string_view last = parts.back();
  if (last == kOpaqueName) {
    name->kind = NameKind::kOpaque;
    return true;
  }
  if (starts_with(last, kMetaPrefix)) {
    name->kind = NameKind::kIgnored;
    return true;
  }
  if (!starts_with(last, kWhiteoutPrefix)) {
    name->kind = NameKind::kPlain;
    name->base = last;
    return true;
  }
  name->kind = NameKind::kWhiteout;
  name->base = last.substr(kWhiteoutPrefix.size());
  if (name->base.empty() || name->base == "." || name->base == "..") {
    return failure->set(Code::kInvalid, "a whiteout of nothing");
  }
  return true;
}

bool is_allowed_xattr(std::string_view name) {
  if (starts_with(name, "user.")) return !starts_with(name, "user.overlay.");
  return name == "security.capability" || starts_with(name, "system.posix_acl_");
}

}  // namespace berth::unpack
