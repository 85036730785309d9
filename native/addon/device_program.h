// Device rules of cgroup v2: a BPF program attached to the group's directory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "addon/failure.h"

namespace berth::addon {

// Loads bytes of struct bpf_insn as BPF_PROG_TYPE_CGROUP_DEVICE and attaches it in place of the group's programs. At no
// instant is the group without rules: the new program is there before the old one goes.
Done attach_device_program(const std::string& directory, const std::vector<uint8_t>& instructions);

}  // namespace berth::addon
