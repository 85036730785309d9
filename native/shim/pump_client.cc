#include "shim/pump_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "shim/child.h"
#include "shim/log_pump/protocol.h"
#include "shim/log_pump/pump.h"
#include "shim/shim.h"

namespace berth {
namespace {

constexpr int kMaxRestarts = 5;

bool send_message(Shim& shim, PumpMessage message, const char* path, const int* fds, uint32_t count) {
  iovec pieces[2] = {{&message, sizeof message}, {const_cast<char*>(path), strlen(path)}};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = pieces;
  header.msg_iovlen = 2;
  if (count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* const passed = CMSG_FIRSTHDR(&header);
    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(passed), fds, count * sizeof(int));
  }
  return sendmsg(shim.pump.socket.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

bool say(Shim& shim, PumpWord word, uint32_t slot) {
  PumpMessage message = {};
  message.word = word;
  message.slot = slot;
  return send_message(shim, message, "", nullptr, 0);
}

void pump_spoke(Watch& watch, uint32_t) {
  auto& pump = static_cast<PumpClient&>(watch);
  for (;;) {
    PumpMessage message;
    const ssize_t n = recv(pump.socket.get(), &message, sizeof message, MSG_DONTWAIT);
    if (n < 0) return;
    if (n != sizeof message) {  // it has ended: its exit is told by SIGCHLD
      pump.shim->loop.unwatch(pump.socket.get());
      return;
    }
    pump.dropped_latest = message.dropped;
    container_log_answer(*pump.shim, message);
  }
}

}  // namespace

bool pump_start(Shim& shim, Fault& fault) {
  PumpClient& pump = shim.pump;
  Fd theirs;
  if (!make_sync(pump.socket, theirs)) return fault.kernel("socketpair", "log pump", errno);
  const pid_t pid = clone_child(0);
  if (pid == 0) run_pump(theirs.get());
  if (pid < 0) return fault.kernel("clone", "log pump", errno);
  pump.shim = &shim;
  pump.pid = pid;
  pump.on_ready = pump_spoke;
  return shim.loop.watch(pump.socket.get(), pump, EPOLLIN) ? true : fault.kernel("epoll", "log pump", errno);
}

bool pump_add(Shim& shim, uint32_t slot, const char* path, const int* streams, uint32_t count) {
  PumpMessage message = {};
  message.word = PumpWord::kAdd;
  message.slot = slot;
  message.streams = count;
  return send_message(shim, message, path, streams, count);
}
bool pump_say_reopen(Shim& shim, uint32_t slot) {
  return say(shim, PumpWord::kReopen, slot);
}
bool pump_say_drain(Shim& shim, uint32_t slot) {
  return say(shim, PumpWord::kDrain, slot);
}
bool pump_tee(Shim& shim, uint32_t slot, uint32_t client, uint32_t streams, const int* fds) {
  PumpMessage message = {};
  message.word = PumpWord::kTee;
  message.slot = slot;
  message.client = client;
  message.streams = streams;
  return send_message(shim, message, "", fds, (streams & 1) + (streams >> 1 & 1));
}
void pump_say_untee(Shim& shim, uint32_t slot, uint32_t client) {
  PumpMessage message = {};
  message.word = PumpWord::kUntee;
  message.slot = slot;
  message.client = client;
  send_message(shim, message, "", nullptr, 0);
}
void pump_say_remove(Shim& shim, uint32_t slot) {
  say(shim, PumpWord::kRemove, slot);
}

void pump_end(Shim& shim) {
  if (!shim.pump.socket) return;
  shim.loop.unwatch(shim.pump.socket.get());
  shim.loop.forget(shim.pump);
  shim.pump.socket.reset();
}

void pump_exited(Shim& shim) {
  PumpClient& pump = shim.pump;
  pump.pid = 0;
  if (!pump.socket) return;  // it was told to end
  pump_end(shim);
  pump.dropped += pump.dropped_latest;
  pump.dropped_latest = 0;
  // The shim holds every stream's read end as well, so a new pump goes on where the old one stopped.
  Fault fault;
  if (pump.restarts++ >= kMaxRestarts || !pump_start(shim, fault)) return log_line("the log pump is gone");
  log_line("the log pump has died and was started again");
  container_logs_readd(shim);
}

}  // namespace berth
