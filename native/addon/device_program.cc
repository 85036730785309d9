#include "addon/device_program.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "common/fd.h"

namespace berth::addon {
namespace {

constexpr size_t instruction_limit = 65536;
// The kernel's own bound for programs on one group.
constexpr uint32_t attached_limit = 64;

long bpf(bpf_cmd command, bpf_attr& attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

Result<int> load(const std::vector<uint8_t>& instructions) {
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insn_cnt = static_cast<uint32_t>(instructions.size() / sizeof(bpf_insn));
  attributes.insns = reinterpret_cast<uintptr_t>(instructions.data());
  attributes.license = reinterpret_cast<uintptr_t>("Apache-2.0");
  const long fd = bpf(BPF_PROG_LOAD, attributes);
  if (fd < 0) return fail("bpf", "load device program");
  return static_cast<int>(fd);
}

Result<std::vector<uint32_t>> attached(int group, const std::string& directory) {
  std::array<uint32_t, attached_limit> ids{};
  bpf_attr attributes{};
  attributes.query.target_fd = static_cast<uint32_t>(group);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = reinterpret_cast<uintptr_t>(ids.data());
  attributes.query.prog_cnt = attached_limit;
  if (bpf(BPF_PROG_QUERY, attributes) < 0) return fail("bpf", "query " + directory);
  return std::vector<uint32_t>(ids.begin(), ids.begin() + attributes.query.prog_cnt);
}

Done attach(int group, int program, const std::string& directory) {
  bpf_attr attributes{};
  attributes.target_fd = static_cast<uint32_t>(group);
  attributes.attach_bpf_fd = static_cast<uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf(BPF_PROG_ATTACH, attributes) < 0) return fail("bpf", "attach to " + directory);
  return Nothing{};
}

Done detach(int group, uint32_t id, const std::string& directory) {
  bpf_attr by_id{};
  by_id.prog_id = id;
  const Fd program(static_cast<int>(bpf(BPF_PROG_GET_FD_BY_ID, by_id)));
  if (!program) return errno == ENOENT ? Done(Nothing{}) : Done(fail("bpf", "open program of " + directory));
  bpf_attr attributes{};
  attributes.target_fd = static_cast<uint32_t>(group);
  attributes.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  if (bpf(BPF_PROG_DETACH, attributes) < 0 && errno != ENOENT) return fail("bpf", "detach from " + directory);
  return Nothing{};
}

}  // namespace

Done attach_device_program(const std::string& directory, const std::vector<uint8_t>& instructions) {
  const size_t count = instructions.size() / sizeof(bpf_insn);
  if (count == 0 || count > instruction_limit || instructions.size() % sizeof(bpf_insn) != 0) {
    return fail_with(EINVAL, "bpf", directory, "not a whole number of instructions");
  }
  const Fd group(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!group) return fail("open", directory);
  Result<int> loaded = load(instructions);
  if (!loaded) return loaded.failure();
  const Fd program(*loaded);
  Result<std::vector<uint32_t>> before = attached(group.get(), directory);
  if (!before) return before.failure();
  // All attached programs must agree: while both are there the stricter of the two counts.
  const Done done = attach(group.get(), program.get(), directory);
  if (!done) return done;
  for (const uint32_t id : *before) {
    const Done gone = detach(group.get(), id, directory);
    if (!gone) return gone;
  }
  return Nothing{};
}

}  // namespace berth::addon
