#include "shim/exec_child.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "shim/cgroup.h"
#include "shim/command.h"
#include "shim/confine.h"
#include "shim/kernel.h"
#include "shim/launch_pad.h"
#include "shim/null_device.h"
#include "shim/terminal.h"

namespace berth {
namespace {

// The container's cgroups, except that in the hierarchy that kills it goes into a leaf of its own.
bool enter_cgroups(const ExecLaunch& launch) {
  ChildPage& page = *launch.page;
  enter_stage(page, Stage::kCgroup);
  Decoded<berth_shim_ContainerPlan> plan(berth_shim_ContainerPlan_fields);
  if (!plan.from(launch.cgroup_dirs, page.fault, "cgroup", "plan")) return false;
  const bool has_leaf = launch.leaf[0] != '\0';
  bool in_leaf = !has_leaf;
  for (pb_size_t i = 0; i < plan->cgroup_dirs_count; i++) {
    std::string_view dir = view_of(plan->cgroup_dirs[i].dir);
    // v2 has one hierarchy: init may itself be in a leaf below the container's directory.
    if (has_leaf && (dir == launch.kill_dir || (plan->cgroup_dirs[i].v2 && launch.kill_dir_v2))) {
      dir = launch.leaf;
      in_leaf = true;
    }
    if (!cgroup_enter(dir)) return page.fault.kernel("cgroup", dir, errno);
  }
  if (!in_leaf && !cgroup_enter(std::string_view(launch.leaf))) {
    return page.fault.kernel("cgroup", launch.leaf, errno);
  }
  return true;
}

// Its pid namespace only for whom we make: we stay where it does not see us.
bool enter_container(ChildPage& page, bool own_users) {
  enter_stage(page, Stage::kNamespaces);
  constexpr int kAll = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWPID;
  const int all = kAll | (own_users ? CLONE_NEWUSER : 0);
  if (setns(kExtraFd, all) != 0) return page.fault.kernel("setns", "container", errno);
  close(kExtraFd);
  take_null_of_root(AT_FDCWD);  // its root is where setns has put us
  return own_users ? become_root_inside(page.fault) : true;
}

bool decode_process(std::string_view bytes, Decoded<berth_shim_Process>& process, Command& command, Fault& fault) {
  process->args = collect_strings(&command.args);
  process->env = collect_strings(&command.env);
  return process.from(bytes, fault, "exec", "Process");
}

// All that the container must not see happen.
bool prepare(const ExecLaunch& launch, const berth_shim_Process& process, SelfFiles& files) {
  ChildPage& page = *launch.page;
  if (!open_self_files(process, launch.reset_oom_score, files, page.fault)) return false;
  if (launch.own_users) leave_nodes_marks(process, launch.uids, files, page);
  return enter_cgroups(launch) && enter_container(page, launch.own_users) &&
         (!launch.tty || make_exec_terminal(process, page));
}

}  // namespace

void run_exec_child(const ExecLaunch& launch) {
  ChildPage& page = *launch.page;
  Fault& fault = page.fault;
  Decoded<berth_shim_Process> decoded(berth_shim_Process_fields);
  const berth_shim_Process& process = *decoded;
  Command command;
  SelfFiles files;
  Confinement left;
  Filter filter;
  PassageSecret secret = {};
  if (!take_fds_only(launch.fds, fault)) give_up(page);
  start_cleanly();
  if (!decode_process(launch.process, decoded, command, fault) || !prepare(launch, process, files)) give_up(page);
  Pages room;
  LaunchPad* const pad = pad_make(command, launch.tty, false, room, fault);
  if (pad == nullptr ||
      !filter_with_passage(filter_of(process), process.seccomp_flags, launch.tty, filter, secret, fault) ||
      !confine(process, files, left, page) || !pad_seal(*pad, fault) || !confine_at_last(process, left, filter, page)) {
    give_up(page);
  }
  pad_launch(*pad, page, secret, pad->args[0]);
}

}  // namespace berth
