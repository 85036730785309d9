// What can be asked of a kernel only by trying.
#pragma once

#include <string_view>

namespace berth {

// It could be started: berthd asks before it needs it.
constexpr std::string_view kCheck = "--check";
constexpr std::string_view kProbeUsers = "--can-map-users";

// Whether pods can have users of their own: a user namespace can be made, and a tmpfs, where secrets lie, takes its ids
// (since Linux 6.3, and in kernels that have it from there).
bool can_map_users();

}  // namespace berth
