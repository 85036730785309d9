#include "shim/container_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/bare_exec.h"
#include "shim/build.h"
#include "shim/cgroup.h"
#include "shim/command.h"
#include "shim/confine.h"
#include "shim/kernel.h"
#include "shim/null_device.h"
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
  return true;
}

bool check_users(const ContainerLaunch& launch, const Plan& plan) {
  const bool wants = plan.user == berth_shim_NsMode_NS_POD;
  if (wants == launch.own_users) return true;
  return launch.page->fault.refuse(FaultKind::kBadMessage, "user", "", "not the pod's user namespace");
}

// Only now that we are in all of them: the namespace's root is where we are.
bool own_cgroup_view(ChildPage& page) {
  return unshare(CLONE_NEWCGROUP) == 0 ? true : page.fault.kernel("unshare", "cgroup", errno);
}

bool enter_cgroups(const Plan& plan, ChildPage& page) {
  enter_stage(page, Stage::kCgroup);
  for (pb_size_t i = 0; i < plan.cgroup_dirs_count; i++) {
    const std::string_view dir = view_of(plan.cgroup_dirs[i].dir);
    touching(page, dir);
    if (!cgroup_enter(dir)) return page.fault.kernel("cgroup", dir, errno);
  }
  return true;
}

// To a second child, which is born in a pid namespace of the pod's users and goes on from here: its number is in the
// page, and everything else is as it was.
bool hand_over(ChildPage& page) {
  const pid_t second = clone_second(page, CLONE_NEWPID);
  if (second > 0) _exit(0);
  if (second < 0) return page.fault.kernel("clone", "pid", errno);
  setsid();
  return true;
}

// Into pause's mount table, which is nearly empty, and from there into a copy of it; and into the pod's namespaces.
// Everything the container needs from the node is held by descriptor by now.
bool enter_pod(const ContainerLaunch& launch, const Plan& plan) {
  ChildPage& page = *launch.page;
  enter_stage(page, Stage::kNamespaces);
  int join = CLONE_NEWNS | (launch.own_users ? CLONE_NEWUSER : 0);
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
  if (launch.own_users && !become_root_inside(page.fault)) return false;
  if (launch.own_users && launch.new_pids && !hand_over(page)) return false;
  if (!own_cgroup_view(page)) return false;
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

// By number, which is pause's as long as pause is there.
bool open_users(const ContainerLaunch& launch, Build& build) {
  if (!launch.own_users) return true;
  build.root_uid = launch.uids.host;
  build.root_gid = launch.gids.host;
  Text<48> path("/proc/");
  path.add_number(launch.pause_pid).add("/ns/user");
  build.user_namespace = Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!build.user_namespace || syscall(SYS_pidfd_send_signal, kExtraFd, 0, nullptr, 0) != 0) {
    return build.fault.kernel("user", "pause", errno);
  }
  return true;
}

// What needs the node's privileges is done before they are left behind.
bool prepare_for_users(Build& build) {
  if (!build.user_namespace) return true;
  return open_devices(build) && prepare_overlay(build);
}

bool build_root(const ContainerLaunch& launch, const Plan& plan) {
  ChildPage& page = *launch.page;
  Build build = {.page = page, .fault = page.fault, .plan = plan};
  umask(0);  // modes are what the plan says
  const bool built = open_users(launch, build) && open_rootfs(build) && open_sources(build) &&
                     prepare_for_users(build) && enter_pod(launch, plan) && mount_rootfs(build) && make_mounts(build) &&
                     make_devices(build) && (!launch.tty || (make_terminal(build) && control_terminal(page.fault))) &&
                     make_cwd(build) && mask_paths(build) && write_own_sysctls(plan, page.fault) && enter_rootfs(build);
  if (built) take_null_of_root(build.root.get());
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
  if (!take_fds_only(launch.fds, page.fault)) child_failed(page);
  start_cleanly();
  if (!decode_plan(launch.plan, plan, command, page.fault)) child_failed(page);
  if (!check_users(launch, plan)) child_failed(page);
  if (!open_self_files(plan.process, launch.reset_oom_score, files, page.fault)) child_failed(page);
  if (launch.own_users) leave_nodes_marks(plan.process, launch.uids, files, page);
  if (!enter_cgroups(plan, page) || !build_root(launch, plan)) child_failed(page);
  Confinement left;
  Filter filter;
  if (!plain_filter(filter_of(plan.process), plan.process.seccomp_flags, filter, page.fault) ||
      !confine(plan.process, files, left, page) || !confine_at_last(plan.process, left, filter, page)) {
    child_failed(page);
  }
  files = {};
  enter_stage(page, Stage::kReady);
  if (write(kSyncFd, &kSaysReady, 1) != 1 || !wait_for_go()) _exit(1);
  // The point of no return: from a successful execve on, everything is the container's.
  execute(command, page.fault);
  child_failed(page, code_for_failed_execve(page.fault.error));
}

}  // namespace berth
