#include "shim/log_pump/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/memory.h"
#include "shim/child.h"
#include "shim/log_pump/cri_format.h"
#include "shim/log_pump/log_file.h"
#include "shim/log_pump/protocol.h"
#include "shim/log_pump/tee.h"
#include "shim/loop.h"

namespace berth {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kWriteBytes = 128 * 1024;  // larger writes are slower (measured)
constexpr int kDrainReads = 64;             // a child that never stops writing must not hold the exit back
constexpr int kIdleMs = 1000;
constexpr int64_t kDropTellNs = 1'000'000'000;  // a full disk is told once a second for each log

struct Pump;
struct Log;

struct Stream : Watch {
  Log* log = nullptr;
  Fd fd;  // closed: the stream has ended
  const char* name = "stdout";
  bool hung_up = false;  // a terminal that nobody had open when it was read last
  Carry carry;
};

struct Log {
  Pump* pump = nullptr;
  Log* next = nullptr;
  uint32_t slot = 0;
  bool tty = false;
  bool drained = false;
  LogFile file;
  Stream streams[2];
  OwnedText path;  // "": there is no file, and output is for whoever is attached
  Tee tee;
  uint64_t dropped = 0;
  uint64_t dropped_told = 0;
  int64_t dropped_told_at = 0;
};

struct Pump : Watch {
  Loop loop;
  OwnedList<Log> logs;
  uint64_t dropped = 0;
  Pages buffers;  // what is read, then what is written; given back to the kernel when idle
};

Log* find_log(Pump& pump, uint32_t slot) {
  for (Log* at = pump.logs.first(); at != nullptr; at = at->next) {
    if (at->slot == slot) return at;
  }
  return nullptr;
}

void say(Pump& pump, PumpWord word, uint32_t slot, int error, uint32_t client = 0) {
  PumpMessage message = {};
  if (Log* const log = find_log(pump, slot)) message.log_dropped = log->dropped_told = log->dropped;
  message.word = word;
  message.slot = slot;
  message.error = error;
  message.client = client;
  message.dropped = pump.dropped;
  // The shim reads these at once; a full queue means that it is stuck, and then waiting is right.
  while (send(kSyncFd, &message, sizeof message, MSG_NOSIGNAL) < 0 && errno == EINTR) continue;
}

// Not waiting for a shim that is stuck: it is told later.
void tell_dropped(Log& log) {
  PumpMessage message = {};
  message.word = PumpWord::kDropped;
  message.slot = log.slot;
  message.dropped = log.pump->dropped;
  message.log_dropped = log.dropped;
  if (send(kSyncFd, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) log.dropped_told = log.dropped;
  log.dropped_told_at = monotonic_ns();
}

void drop(Log& log, uint64_t bytes) {
  if (bytes == 0) return;
  log.pump->dropped += bytes;
  log.dropped += bytes;
  if (log.dropped_told_at == 0 || monotonic_ns() - log.dropped_told_at >= kDropTellNs) tell_dropped(log);
}

// The carry holds a page or more only while a line is unfinished.
bool carry_ready(Carry& carry) {
  return carry.bytes || carry.bytes.make(kMaxLineBytes);
}

bool has_file(const Log& log) {
  return !log.path.empty();
}

void end_stream(Pump& pump, Stream& stream) {
  char* out = pump.buffers.data() + kReadBytes;
  const size_t size = format_rest(stream.carry, record_prefix(realtime_ns(), stream.name), out, kWriteBytes);
  drop(*stream.log, stream.log->file.write({out, size}));
  pump.loop.unwatch(stream.fd.get());
  pump.loop.forget(stream);
  stream.fd.reset();
  stream.carry = {};
}

void write_records(Stream& stream, std::string_view input) {
  Pump& pump = *stream.log->pump;
  char* out = pump.buffers.data() + kReadBytes;
  const RecordPrefix prefix = record_prefix(realtime_ns(), stream.name);
  while (!input.empty()) {
    const size_t size = format_records(stream.carry, input, prefix, out, kWriteBytes);
    drop(*stream.log, stream.log->file.write({out, size}));
  }
  if (stream.carry.size == 0) stream.carry = {};
}

// A terminal that is hung up says so again and again, unless only what changes is to be told.
void hung_up(Stream& stream, bool is) {
  if (stream.hung_up == is) return;
  stream.hung_up = is;
  stream.log->pump->loop.rewatch(stream.fd.get(), stream, is ? uint32_t{EPOLLIN} | EPOLLET : EPOLLIN);
}

// One read, and what it gives to the clients, who are never waited for, and into the file. False: nothing is there now,
// or the stream has ended.
bool pump_once(Stream& stream) {
  Log& log = *stream.log;
  Pump& pump = *log.pump;
  const ssize_t n = read(stream.fd.get(), pump.buffers.data(), kReadBytes);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  // A terminal answers EIO whenever nobody has it open. While its container lives somebody may open it again.
  if (n < 0 && errno == EIO && log.tty && !log.drained) {
    hung_up(stream, true);
    return false;
  }
  hung_up(stream, false);
  if (n <= 0) {
    end_stream(pump, stream);
    return false;
  }
  const auto size = static_cast<size_t>(n);
  tee_copy(log.tee, &stream == &log.streams[0] ? 0 : 1, pump.buffers.data(), size);
  if (!has_file(log)) return true;
  if (carry_ready(stream.carry)) {
    write_records(stream, {pump.buffers.data(), size});
  } else {
    drop(log, size);  // as on a full disk: the stream goes on
  }
  return true;
}

bool ended(const Log& log) {
  return !log.streams[0].fd && !log.streams[1].fd;
}

void remove_log(Pump& pump, Log& log) {
  for (Stream& stream : log.streams) {
    if (stream.fd) end_stream(pump, stream);
  }
  tee_drop(log.tee);
  pump.logs.take(log);
}

void close_if_ended(Pump& pump, Log& log) {
  if (!log.drained || !ended(log) || !log.tee.clients.empty()) return;
  say(pump, PumpWord::kClosed, log.slot, 0);
  remove_log(pump, log);
}

void client_left(Tee& tee, uint32_t client, TeeEnd why) {
  const Log& log = *static_cast<Log*>(tee.owner);
  say(*log.pump, PumpWord::kTeeOver, log.slot,
      why == TeeEnd::kSlow   ? ENOBUFS
      : why == TeeEnd::kGone ? EPIPE
                             : 0,
      client);
}

void tee_idle(Tee& tee) {
  Log& log = *static_cast<Log*>(tee.owner);
  close_if_ended(*log.pump, log);
}

void stream_ready(Watch& watch, uint32_t) {
  auto& stream = static_cast<Stream&>(watch);
  Log& log = *stream.log;
  pump_once(stream);
  close_if_ended(*log.pump, log);
}

int add_log(Pump& pump, const PumpMessage& message, const char* path, Fd* fds) {
  Owned<Log> made = Owned<Log>::make();
  if (!made || !made->path.set(path)) return ENOMEM;
  Log* const log = &pump.logs.push_front(std::move(made));
  log->pump = &pump;
  log->tee.loop = &pump.loop;
  log->tee.owner = log;
  log->tee.on_left = client_left;
  log->tee.on_idle = tee_idle;
  log->slot = message.slot;
  log->tty = message.streams == 1;
  int error = has_file(*log) ? log->file.open(path) : 0;
  for (uint32_t i = 0; error == 0 && i < message.streams; i++) {
    Stream& stream = log->streams[i];
    stream.on_ready = stream_ready;
    stream.log = log;
    stream.name = i == 0 ? "stdout" : "stderr";
    stream.fd = std::move(fds[i]);
    const int fd = stream.fd.get();
    const bool heard = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0 && pump.loop.watch(fd, stream, EPOLLIN);
    if (!heard) error = errno;
  }
  if (error != 0) remove_log(pump, *log);
  return error;
}

void drain_log(Pump& pump, Log& log) {
  log.drained = true;
  for (Stream& stream : log.streams) {
    for (int i = 0; i < kDrainReads && stream.fd && pump_once(stream); i++) continue;
  }
  tee_end(log.tee);
  say(pump, PumpWord::kDrained, log.slot, 0);
  close_if_ended(pump, log);
}

int tee_log(Log* log, const PumpMessage& message, Fd* fds) {
  if (log == nullptr || log->drained) return ENOENT;
  Fd streams[kTeeStreams];
  for (int i = 0, next = 0; i < kTeeStreams; i++) {
    if (message.streams >> i & 1) streams[i] = std::move(fds[next++]);
  }
  return tee_add(log->tee, message.client, streams);
}

void obey(Pump& pump, const PumpMessage& message, const char* path, Fd* fds) {
  Log* log = find_log(pump, message.slot);
  switch (message.word) {
    case PumpWord::kAdd:
      return say(pump, PumpWord::kAdded, message.slot, add_log(pump, message, path, fds));
    case PumpWord::kReopen:
      // Every read is written as whole records before the next message is looked at: the files meet between records.
      return say(pump, PumpWord::kReopened, message.slot, log == nullptr ? ENOENT : log->file.open(log->path.c_str()));
    case PumpWord::kDrain:
      if (log == nullptr) return say(pump, PumpWord::kClosed, message.slot, 0);
      return drain_log(pump, *log);
    case PumpWord::kTee:
      return say(pump, PumpWord::kTeed, message.slot, tee_log(log, message, fds), message.client);
    case PumpWord::kUntee:
      if (log == nullptr) return;
      tee_forget(log->tee, message.client);
      return close_if_ended(pump, *log);
    case PumpWord::kRemove:
      if (log != nullptr) remove_log(pump, *log);
      return;
    default:
      return;
  }
}

void control_ready(Watch& watch, uint32_t) {
  auto& pump = static_cast<Pump&>(watch);
  PumpMessage message = {};
  char path[kMaxLogPath] = {};
  iovec pieces[2] = {{&message, sizeof message}, {path, sizeof path - 1}};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
  msghdr header = {};
  header.msg_iov = pieces;
  header.msg_iovlen = 2;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(kSyncFd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < static_cast<ssize_t>(sizeof message)) {  // the shim has closed its end: write what there is, and go
    for (Log* log = pump.logs.first(); log != nullptr; log = log->next) {
      for (Stream& stream : log->streams) {
        for (int i = 0; i < kDrainReads && stream.fd && pump_once(stream); i++) continue;
        if (stream.fd) end_stream(pump, stream);
      }
    }
    _exit(0);
  }
  Fd fds[2];
  cmsghdr* const passed = CMSG_FIRSTHDR(&header);
  if (passed != nullptr && passed->cmsg_type == SCM_RIGHTS) {
    const size_t count = (passed->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count && i < 2; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(passed) + i * sizeof(int), sizeof fd);
      fds[i] = Fd(fd);
    }
  }
  obey(pump, message, path, fds);
}

}  // namespace

void run_pump(int control) {
  Fault fault;
  const ChildFds fds = {.sync = control};
  if (!take_fds_only(fds, fault)) _exit(1);
  prctl(PR_SET_NAME, "berth-log");
  // As in the shim: nothing but SIGKILL ends it before its work is done.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  Pump pump;
  if (!pump.buffers.make(kReadBytes + kWriteBytes) || !pump.loop.open()) _exit(1);
  pump.on_ready = control_ready;
  if (!pump.loop.watch(kSyncFd, pump, EPOLLIN)) _exit(1);
  release_callers(__builtin_frame_address(0));
  for (bool rested = false;;) {
    const bool worked = pump.loop.turn(rested ? -1 : kIdleMs);
    if (!worked && !rested) {
      for (Log* log = pump.logs.first(); log != nullptr; log = log->next) {
        if (log->dropped != log->dropped_told) tell_dropped(*log);
      }
      pump.buffers.clear();
      release_stack();
    }
    rested = !worked;
  }
}

}  // namespace berth
