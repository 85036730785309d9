#include "shim/sysctl_name.h"

namespace berth {
namespace {

bool plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

}  // namespace

bool sysctl_path(std::string_view name, Path& path) {
  path.clear();
  path.add("sys/");
  char before = '.';
  if (name.empty() || name.size() > 255 || name.back() == '.') return false;
  for (const char c : name) {
    if (c == '.' ? before == '.' : !plain(c)) return false;
    path.add(c == '.' ? std::string_view("/") : std::string_view(&c, 1));
    before = c;
  }
  return !path.cut();
}

SysctlScope sysctl_scope(std::string_view name) {
  if (starts_with(name, "net.")) return SysctlScope::kNet;
  if (starts_with(name, "fs.mqueue.") || starts_with(name, "kernel.shm") || starts_with(name, "kernel.msg") ||
      name == "kernel.sem") {
    return SysctlScope::kIpc;
  }
  if (name == "kernel.domainname" || name == "kernel.hostname") return SysctlScope::kUts;
  return SysctlScope::kNone;
}

}  // namespace berth
