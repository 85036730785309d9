// floor DIRECTORY GROUP own|host COUNT REST_MS: the system calls of one pod with one container, COUNT times, and
// nothing else: no requests, no records, no other language. One line of JSON each: microseconds by stage.
//
// DIRECTORY has the container's files in layer/; GROUP is a control group of this run in every hierarchy.
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <initializer_list>

#include "floor/cgroups.h"
#include "floor/check.h"
#include "floor/container.h"
#include "floor/netlink.h"
#include "floor/pod.h"
#include "floor/seccomp_filter.h"

namespace floor_bench {
namespace {

constexpr uint32_t kGateway = 10u << 24 | 90u << 16 | 1;
constexpr int kPrefix = 16;

struct Node {
  Hierarchies hierarchies;
  Path group;
  const char* directory;
  bool own_network;
  int netlink;
  int bridge;
  sock_fprog filter;
};

// Prints the time since the last stage under a name.
class Clock {
 public:
  void stage(const char* name) {
    const int64_t now = now_us();
    printf("%s\"%s\":%ld", first_ ? "{" : ",", name, static_cast<long>(now - last_));
    first_ = false;
    last_ = now;
  }
  void since_start(const char* name) { printf(",\"%s\":%ld", name, static_cast<long>(last_ - start_)); }
  void restart() { last_ = start_ = now_us(); }

 private:
  int64_t start_ = now_us();
  int64_t last_ = start_;
  bool first_ = true;
};

int remove_entry(const char* path, const struct stat*, int, FTW*) {
  return remove(path);
}

void end_process(pid_t pid) {
  must(kill(pid, SIGKILL), "kill");
  must(waitpid(pid, nullptr, 0), "waitpid");
}

void run_once(const Node& node, int round) {
  const Path pod_group("%s/pod", node.group.text);
  const Path container_group("%s/pod/container", node.group.text);
  Clock clock;
  make_group(node.hierarchies, pod_group);
  clock.stage("pod cgroups");
  const Pod pod = start_pod(node.hierarchies, pod_group, node.own_network);
  clock.stage("pod clone");
  if (node.own_network) {
    const int net = open_namespace(pod.pid, "net");
    make_veth(node.netlink, Path("floor-%d", round), node.bridge, net);
    close(net);
  }
  clock.stage("veth");
  finish_pod(pod, kGateway + 1 + static_cast<uint32_t>(round), kGateway, kPrefix);
  clock.stage("pod setup");
  for (const char* name : {"upper", "work", "merged"}) must(mkdir(Path("%s/%s", node.directory, name), 0755), name);
  make_group(node.hierarchies, container_group);
  limit_group(container_group);
  clock.stage("container cgroups");
  const Container container = create_container({.hierarchies = &node.hierarchies,
                                                .group = container_group,
                                                .directory = node.directory,
                                                .pod = pod.pid,
                                                .own_network = node.own_network,
                                                .filter = node.filter});
  clock.stage("container setup");
  start_container(container);
  clock.stage("execve");
  clock.since_start("running");
  usleep(5000);
  clock.restart();
  end_process(container.pid);
  end_process(pod.pid);
  close(pod.channel);
  remove_group(node.hierarchies, container_group);
  remove_group(node.hierarchies, pod_group);
  for (const char* name : {"upper", "work", "merged"}) {
    must(nftw(Path("%s/%s", node.directory, name), remove_entry, 8, FTW_DEPTH | FTW_PHYS), name);
  }
  clock.stage("removed");
  puts("}");
}

int run(int argc, char** argv) {
  if (argc != 6) {
    fputs("usage: floor DIRECTORY GROUP own|host COUNT REST_MS\n", stderr);
    return 64;
  }
  Node node = {.hierarchies = Hierarchies::find(),
               .group = Path("%s/floor", argv[2]),
               .directory = argv[1],
               .own_network = strcmp(argv[3], "own") == 0,
               .netlink = -1,
               .bridge = -1,
               .filter = compile_filter()};
  make_group(node.hierarchies, argv[2]);
  make_group(node.hierarchies, node.group);
  if (node.own_network) {
    node.netlink = netlink_open();
    node.bridge = make_bridge(node.netlink, "floor0", kGateway, kPrefix);
  }
  for (int round = 0; round < atoi(argv[4]); round++) {
    run_once(node, round);
    fflush(stdout);
    usleep(static_cast<useconds_t>(atoi(argv[5])) * 1000);
  }
  return 0;
}

}  // namespace
}  // namespace floor_bench

int main(int argc, char** argv) {
  return floor_bench::run(argc, argv);
}
