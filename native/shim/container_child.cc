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
#include "shim/launch_pad.h"
#include "shim/null_device.h"
#include "shim/pause.h"
#include "shim/resolve.h"
#include "shim/sysctl.h"
#include "shim/terminal.h"

namespace berth {
namespace {

using Plan = berth_shim_ContainerPlan;

bool decode_plan(std::string_view bytes, Decoded<Plan>& plan, Command& command, Fault& fault) {
  plan->process.args = collect_strings(&command.args);
  plan->process.env = collect_strings(&command.env);
  if (!plan.from(bytes, fault, "plan", "ContainerPlan")) return false;
  if (plan->has_process && plan->has_rootfs) return true;
  return fault.refuse(FaultKind::kBadMessage, "plan", "", "malformed ContainerPlan");
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

// Where the container's pid namespace is its own, a procfs of it is mounted in a table that holds nothing else of the
// container's, for the shim: who shares the namespace later begins there, since what the container's own table says is
// the container's.
bool give_table(ChildPage& page) {
  const Fd procfs = kernel::fs_view("proc");
  if (!procfs || !kernel::attach_at(procfs.get(), kPodProc)) return page.fault.kernel("mount", kPodProc, errno);
  const Fd table(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!table || !send_word(kSaysTable, table.get())) return page.fault.kernel("mount", "table", errno);
  return unshare(CLONE_NEWNS) == 0 ? true : page.fault.kernel("unshare", "mount", errno);
}

// The pid namespace, which is only for whom we make, while we have the node's privileges; then the pod's users, where
// it has some.
bool join(const ContainerLaunch& launch, int namespaces) {
  Fault& fault = launch.page->fault;
  if (launch.pids == Pids::kOthers && setns(kPidsFd, CLONE_NEWPID) != 0) return fault.kernel("setns", "pid", errno);
  const bool table = launch.fds.table >= 0;
  if (setns(kExtraFd, table ? namespaces & ~CLONE_NEWNS : namespaces) != 0) return fault.kernel("setns", "pod", errno);
  close(kExtraFd);
  if (launch.own_users && !become_root_inside(fault)) return false;
  if (table && setns(kTableFd, CLONE_NEWNS) != 0) return fault.kernel("setns", "table", errno);
  return launch.own_users && launch.pids == Pids::kNew ? hand_over(*launch.page) : true;
}

// Into pause's mount table, which is nearly empty, and from there into a copy of it; and into the pod's namespaces.
// Everything the container needs from the node is held by descriptor by now.
bool enter_pod(const ContainerLaunch& launch, const Plan& plan) {
  ChildPage& page = *launch.page;
  enter_stage(page, Stage::kNamespaces);
  int entered = CLONE_NEWNS | (launch.own_users ? CLONE_NEWUSER : 0);
  int create = CLONE_NEWNS;
  const struct {
    berth_shim_NsMode mode;
    int flag;
  } namespaces[] = {{plan.net, CLONE_NEWNET}, {plan.ipc, CLONE_NEWIPC}, {plan.uts, CLONE_NEWUTS}};
  for (const auto& one : namespaces) {
    if (one.mode == berth_shim_NsMode_NS_POD) entered |= one.flag;
    if (one.mode == berth_shim_NsMode_NS_NEW) create |= one.flag;
  }
  if (!join(launch, entered) || !own_cgroup_view(page)) return false;
  if (unshare(create) != 0) return page.fault.kernel("unshare", "mount", errno);
  return launch.pids == Pids::kNew ? give_table(page) : true;
}

bool make_cwd(Build& build) {
  const berth_shim_Process& process = build.plan.process;
  if (!process.create_cwd || view_of(process.cwd).empty()) return true;
  return static_cast<bool>(make_in_root(build.root.get(), process.cwd, Kind::kDirectory, build.fault));
}

bool write_own_sysctls(const Build& build) {
  const Plan& plan = build.plan;
  const SysctlAllowed allowed = {.net = plan.net != berth_shim_NsMode_NS_HOST,
                                 .ipc = plan.ipc != berth_shim_NsMode_NS_HOST,
                                 .uts = plan.uts != berth_shim_NsMode_NS_HOST};
  return write_sysctls(plan.sysctls, plan.sysctls_count, allowed, build.fault, build.nodes_pids ? nullptr : kPodProc);
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
  Build build = {.page = page, .fault = page.fault, .plan = plan, .nodes_pids = launch.pids == Pids::kNodes};
  umask(0);  // modes are what the plan says
  const bool built = open_users(launch, build) && open_rootfs(build) && open_sources(build) &&
                     prepare_for_users(build) && enter_pod(launch, plan) && mount_rootfs(build) && make_mounts(build) &&
                     make_devices(build) && (!launch.tty || make_terminal(build)) && make_cwd(build) &&
                     mask_paths(build) && write_own_sysctls(build) && enter_rootfs(build);
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

// Alone in its pid namespace, or in the node's.
[[noreturn]] void become_command(const ContainerLaunch& launch, const berth_shim_Process& process,
                                 const Command& command, SelfFiles& files) {
  ChildPage& page = *launch.page;
  Confinement left;
  Filter filter;
  if (launch.tty && !control_terminal(page.fault)) child_failed(page);
  if (!plain_filter(filter_of(process), process.seccomp_flags, filter, page.fault) ||
      !confine(process, files, left, page) || !confine_at_last(process, left, filter, page)) {
    child_failed(page);
  }
  enter_stage(page, Stage::kReady);
  if (write(kSyncFd, &kSaysReady, 1) != 1 || !wait_for_go()) _exit(1);
  // The point of no return: from a successful execve on, everything is the container's.
  execute(command, page.fault);
  child_failed(page, code_for_failed_execve(page.fault.error));
}

// Where others are who may look: launch_pad.h.
[[noreturn]] void launch_second(const ContainerLaunch& launch, const berth_shim_Process& process,
                                const Command& command, SelfFiles& files) {
  ChildPage& page = *launch.page;
  Confinement left;
  Filter filter;
  PassageSecret secret = {};
  Pages room;
  LaunchPad* const pad = pad_make(command, launch.tty, true, room, page.fault);
  if (pad == nullptr ||
      !filter_with_passage(filter_of(process), process.seccomp_flags, launch.tty, filter, secret, page.fault) ||
      !confine(process, files, left, page)) {
    child_failed(page);
  }
  if (!pad_seal(*pad, page.fault) || !confine_at_last(process, left, filter, page)) give_up(page);
  pad_launch(*pad, page, secret, pad->args[0]);
}

}  // namespace

void run_container_child(const ContainerLaunch& launch) {
  ChildPage& page = *launch.page;
  Decoded<Plan> decoded(berth_shim_ContainerPlan_fields);
  const Plan& plan = *decoded;
  Command command;
  SelfFiles files;
  if (!take_fds_only(launch.fds, page.fault)) child_failed(page);
  start_cleanly();
  if (!decode_plan(launch.plan, decoded, command, page.fault)) child_failed(page);
  if (!check_users(launch, plan)) child_failed(page);
  if (!open_self_files(plan.process, launch.reset_oom_score, files, page.fault)) child_failed(page);
  if (launch.own_users) leave_nodes_marks(plan.process, launch.uids, files, page);
  if (!enter_cgroups(plan, page) || !build_root(launch, plan)) child_failed(page);
  launch.pids == Pids::kOthers ? launch_second(launch, plan.process, command, files)
                               : become_command(launch, plan.process, command, files);
}

}  // namespace berth
