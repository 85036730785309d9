// The few cgroup words the shim itself needs. Control files are the kernel's own and do not block like a disk.
#pragma once

#include <cstdint>
#include <string_view>

namespace berth {

// Moves the calling (single-threaded) process: "0" into tasks (v1) or cgroup.procs (v2). On v1 the tasks file takes no
// lock over thread groups, which cgroup.procs waits for.
bool cgroup_enter(int dir);
bool cgroup_enter(std::string_view dir);
bool cgroup_is_v2(int dir);

// The oom_kill counter of memory.events or memory.oom_control; 0 when it cannot be read.
uint64_t cgroup_oom_kills(const char* file);

bool write_file_at(int dir, const char* name, std::string_view text);

}  // namespace berth
