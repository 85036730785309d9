// The container that is measured, and the peer's sandbox process: sleeps, and ends at once on SIGTERM or SIGINT. Says
// "ready" when it would: the first process of a pid namespace does not get signals that it does not handle.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

void end(int) {
  _exit(0);
}

void reap(int) {
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

}  // namespace

int main() {
  signal(SIGTERM, end);
  signal(SIGINT, end);
  signal(SIGCHLD, reap);
  constexpr char kReady[] = "ready\n";
  if (write(STDOUT_FILENO, kReady, sizeof kReady - 1) < 0) return 1;
  for (;;) pause();
}
