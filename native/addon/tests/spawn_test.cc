#include "addon/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "addon/tests/check.h"
#include "common/fd.h"

using namespace berth::addon;
using berth::Fd;

namespace {

int wait_for(Spawned& spawned) {
  int status = -1;
  (void)waitpid(spawned.pid, &status, 0);
  (void)close(spawned.pidfd);
  return status;
}

std::string output_of(SpawnRequest request, size_t target) {
  int ends[2];
  (void)!pipe2(ends, O_CLOEXEC);
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  if (request.fds.size() <= target) request.fds.resize(target + 1, -1);
  request.fds[target] = write_end.get();
  Result<Spawned> spawned = spawn(request);
  write_end.reset();
  if (!spawned) return "spawn failed: " + sentence(spawned.failure());
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(read_end.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  (void)wait_for(*spawned);
  return text;
}

SpawnRequest shell(const char* script) {
  SpawnRequest request;
  request.path = "/bin/sh";
  request.argv = {"sh", "-c", script};
  request.env = {"A=1"};
  return request;
}

}  // namespace

TEST("a child has exactly the descriptors it was given") {
  SpawnRequest request =
      shell("for n in 0 1 2 3 4 5 6 7 8 9 10 20 21 22 23 24 25; do [ -e /proc/$$/fd/$n ] && echo $n; done");
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  // 0 closed, 1 the pipe, 2 /dev/null, 3 closed, 4 /dev/null.
  request.fds = {-1, -1, null.get(), -1, null.get()};
  CHECK(output_of(request, 1) == "1\n2\n4\n");
}

TEST("descriptors may change places") {
  int first[2];
  int second[2];
  (void)!pipe2(first, O_CLOEXEC);
  (void)!pipe2(second, O_CLOEXEC);
  const int low = std::min(first[1], second[1]);
  const int high = std::max(first[1], second[1]);
  SpawnRequest request = shell("");
  request.fds.assign(static_cast<size_t>(high) + 1, -1);
  request.fds[static_cast<size_t>(low)] = high;
  request.fds[static_cast<size_t>(high)] = low;
  const std::string script = "echo low >&" + std::to_string(low) + "; echo high >&" + std::to_string(high);
  request.argv[2] = script;
  Result<Spawned> spawned = spawn(request);
  CHECK(spawned);
  CHECK(wait_for(*spawned) == 0);
  char text[16] = {};
  (void)!read(low == first[1] ? second[0] : first[0], text, sizeof text - 1);
  CHECK(std::string(text) == "low\n");
  for (const int fd : {first[0], first[1], second[0], second[1]}) close(fd);
}

TEST("a child starts with an empty mask and default signals, and in a session of its own") {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before {};
  (void)sigaction(SIGPIPE, &ignore, &before);
  const std::string text =
      output_of(shell("while read a b c; do case $a in Sig[BIC]*) echo $a$b;; esac; done </proc/$$/status; "
                      "read p c s pp g sid r </proc/$$/stat; [ $sid = $$ ] && echo leader"),
                1);
  (void)sigaction(SIGPIPE, &before, nullptr);
  // dash itself takes no signals here.
  CHECK(text.find("SigBlk:0000000000000000\n") != std::string::npos);
  CHECK(text.find("SigIgn:0000000000000000\n") != std::string::npos);
  CHECK(text.find("leader\n") != std::string::npos);
}

TEST("the environment is exactly what was given") {
  SpawnRequest request;
  request.path = "/usr/bin/env";
  request.argv = {"env"};
  request.env = {"ONE=1", "TWO="};
  CHECK(output_of(request, 1) == "ONE=1\nTWO=\n");
}

TEST("the working directory comes by path or by descriptor") {
  SpawnRequest by_path = shell("pwd -P");
  by_path.cwd = "/usr";
  CHECK(output_of(by_path, 1) == "/usr\n");
  const Fd directory(open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  SpawnRequest by_fd = shell("pwd -P");
  by_fd.cwd_fd = directory.get();
  CHECK(output_of(by_fd, 1) == "/etc\n");
}

TEST("a program that cannot run is an error here, and leaves no child") {
  SpawnRequest request;
  request.path = "/nonexistent/program";
  request.argv = {"program"};
  const Result<Spawned> spawned = spawn(request);
  CHECK(!spawned && spawned.failure().error == ENOENT && spawned.failure().call == "execve");
  CHECK(spawned.failure().path == "/nonexistent/program");
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD);
  SpawnRequest elsewhere = shell("true");
  elsewhere.cwd = "/nonexistent";
  CHECK(spawn(elsewhere).failure().call == "chdir");
}
