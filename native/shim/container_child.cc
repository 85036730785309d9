#include "shim/container_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/build.h"
#include "shim/cgroup.h"
#include "shim/command.h"
#include "shim/confine.h"
#include "shim/kernel.h"
#include "shim/resolve.h"
#include "shim/sysctl.h"
#include "shim/terminal.h"

namespace berth {
namespace {

using Plan = berth_shim_ContainerPlan;

bool decode_plan(std::string_view bytes, Plan& plan, Command& command, Fault& fault) {
  plan.process.args = collect_strings(&command.args);
  plan.process.env = collect_strings(&command.env);
  if (!decode_message(berth_shim_ContainerPlan_fields, &plan, bytes) || !plan.has_process || !plan.has_rootfs) {
    return fault.refuse(FaultKind::kBadMessage, "plan", "", "malformed ContainerPlan");
  }
  if (plan.user != berth_shim_NsMode_NS_HOST) {
    return fault.refuse(FaultKind::kUnsupported, "user", "", "user namespaces");
  }
  return true;
}

bool enter_cgroups(const Plan& plan, ChildPage& page) {
  enter_stage(page, Stage::kCgroup);
  for (pb_size_t i = 0; i < plan.cgroup_dirs_count; i++) {
    const std::string_view dir = view_of(plan.cgroup_dirs[i].dir);
    touching(page, dir);
    if (!cgroup_enter(dir)) return page.fault.kernel("cgroup", dir, errno);
  }
  // Only now that we are in all of them: the namespace's root is where we are.
  return unshare(CLONE_NEWCGROUP) == 0 ? true : page.fault.kernel("unshare", "cgroup", errno);
}

// Into pause's mount table, which is nearly empty, and from there into a copy of it; and into the pod's namespaces.
// Everything the container needs from the node is held by descriptor by now.
bool enter_pod(const Plan& plan, ChildPage& page) {
  enter_stage(page, Stage::kNamespaces);
  int join = CLONE_NEWNS;
  int create = CLONE_NEWNS;
  const struct {
    berth_shim_NsMode mode;
    int flag;
  } namespaces[] = {{plan.net, CLONE_NEWNET}, {plan.ipc, CLONE_NEWIPC}, {plan.uts, CLONE_NEWUTS}};
  for (const auto& one : namespaces) {
    if (one.mode == berth_shim_NsMode_NS_POD) join |= one.flag;
    if (one.mode == berth_shim_NsMode_NS_NEW) create |= one.flag;
  }
  if (setns(kExtraFd, join) != 0) return page.fault.kernel("setns", "pod", errno);
  close(kExtraFd);
  return unshare(create) == 0 ? true : page.fault.kernel("unshare", "mount", errno);
}

bool make_cwd(Build& build) {
  const berth_shim_Process& process = build.plan.process;
  if (!process.create_cwd || view_of(process.cwd).empty()) return true;
  return static_cast<bool>(make_in_root(build.root.get(), process.cwd, Kind::kDirectory, build.fault));
}

bool write_own_sysctls(const Plan& plan, Fault& fault) {
  const SysctlAllowed allowed = {.net = plan.net != berth_shim_NsMode_NS_HOST,
                                 .ipc = plan.ipc != berth_shim_NsMode_NS_HOST,
                                 .uts = plan.uts != berth_shim_NsMode_NS_HOST};
  return write_sysctls(plan.sysctls, plan.sysctls_count, allowed, fault);
}

bool build_root(const ContainerLaunch& launch, const Plan& plan) {
  ChildPage& page = *launch.page;
  Build build = {.page = page, .fault = page.fault, .plan = plan};
  umask(0);  // modes are what the plan says
  const bool built = open_rootfs(build) && open_sources(build) && enter_pod(plan, page) && mount_rootfs(build) &&
                     make_mounts(build) && make_devices(build) && (!launch.tty || make_terminal(build)) &&
                     make_cwd(build) && mask_paths(build) && write_own_sysctls(plan, page.fault) && enter_rootfs(build);
  umask(022);
  return built;
}

// Waits with read(2) on the one descriptor that is left. False: the shim is gone.
bool wait_for_go() {
  char word = 0;
  ssize_t n;
  do {
    n = read(kSyncFd, &word, 1);
  } while (n < 0 && errno == EINTR);
  return n == 1 && word == kSaysGo;
}

}  // namespace

void run_container_child(const ContainerLaunch& launch) {
  ChildPage& page = *launch.page;
  Plan plan = {};
  Command command;
  SelfFiles files;
  if (!take_fds_only(launch.fds, page.fault)) child_failed();
  start_cleanly();
  if (!decode_plan(launch.plan, plan, command, page.fault)) child_failed();
  if (!open_self_files(plan.process, launch.reset_oom_score, files, page.fault)) child_failed();
  if (!enter_cgroups(plan, page) || !build_root(launch, plan)) child_failed();
  if (!confine(plan.process, files, page)) child_failed();
  files = {};
  enter_stage(page, Stage::kReady);
  if (write(kSyncFd, &kSaysReady, 1) != 1 || !wait_for_go()) _exit(1);
  // The point of no return: from a successful execve on, everything is the container's.
  execute(command, page.fault);
  child_failed(code_for_failed_execve(page.fault.error));
}

}  // namespace berth
