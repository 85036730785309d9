#include "shim/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "shim/attach.h"
#include "shim/dispatch.h"
#include "shim/limits.h"
#include "shim/shim.h"

namespace berth {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr int64_t kAcceptRestMs = 100;
constexpr int kFramesPerTurn = 8;  // so that one busy peer does not starve the others

void drop_fds(PassedFds& fds) {
  for (Fd& fd : fds.items) fd.reset();
  fds.count = 0;
}

void connection_close(Connection& connection) {
  Listener& listener = connection.shim->listener;
  Loop& loop = connection.shim->loop;
  loop.unwatch(connection.socket.get());
  loop.forget(connection);
  const Owned<Connection> closed = listener.connections.take(connection);
  if (connection.streams) listener.streams--;
  execs_client_gone(*connection.shim, connection.id);
  attaches_client_gone(*connection.shim, connection.id);
}

// Keeps up to three descriptors that came with the first byte of a frame; more is a protocol error.
bool take_fds(Connection& connection, msghdr& message) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof fd);
      Fd owned(fd);
      if (connection.fds.count < 3) connection.fds.items[connection.fds.count++] = std::move(owned);
    }
  }
  return (message.msg_flags & MSG_CTRUNC) == 0;
}

// Result of one attempt to read: kMore means the socket is empty for now.
enum class Got { kAll, kMore, kEnd };

Got read_header(Connection& connection) {
  iovec piece = {connection.header_bytes + connection.header_size, kFrameHeaderBytes - connection.header_size};
  alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(connection.socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return errno == EAGAIN || errno == EINTR ? Got::kMore : Got::kEnd;
  if (!take_fds(connection, message) || n == 0) return Got::kEnd;
  connection.header_size += static_cast<size_t>(n);
  return connection.header_size < kFrameHeaderBytes ? Got::kMore : Got::kAll;
}

Got read_payload(Connection& connection) {
  char nowhere[kPageBytes];
  while (connection.payload_size < connection.header.length) {
    const size_t left = connection.header.length - connection.payload_size;
    const ssize_t n =
        connection.unread
            ? recv(connection.socket.get(), nowhere, left < sizeof nowhere ? left : sizeof nowhere, MSG_DONTWAIT)
            : recv(connection.socket.get(), connection.payload.data() + connection.payload_size, left, MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? Got::kMore : Got::kEnd;
    if (n == 0) return Got::kEnd;
    connection.payload_size += static_cast<size_t>(n);
  }
  return Got::kAll;
}

// One frame, as far as it has arrived.
Got read_frame(Connection& connection) {
  if (connection.header_size < kFrameHeaderBytes) {
    const Got got = read_header(connection);
    if (got != Got::kAll) return got;
    if (!parse_request_header(connection.header_bytes, connection.header)) return Got::kEnd;
    connection.payload_size = 0;
    connection.unread = !connection.payload.make(connection.header.length);
  }
  return read_payload(connection);
}

void serve(Connection& connection) {
  if (!connection.unread) {
    return dispatch(*connection.shim, connection, {connection.payload.data(), connection.payload_size});
  }
  Fault fault;
  fault.kernel("request", "", ENOMEM);
  reply_fault(*connection.shim, {connection.id, connection.header.stream}, fault);
}

void flush(Connection& connection) {
  while (connection.out_at < connection.out_size) {
    const ssize_t n = send(connection.socket.get(), connection.out.data() + connection.out_at,
                           connection.out_size - connection.out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return;
    connection.out_at += static_cast<size_t>(n);
  }
  connection.out.reset();
  connection.out_size = connection.out_at = 0;
  connection.shim->loop.rewatch(connection.socket.get(), connection, EPOLLIN);
}

void connection_ready(Watch& watch, uint32_t events) {
  auto& connection = static_cast<Connection&>(watch);
  if (events & EPOLLOUT) flush(connection);
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  for (int i = 0; i < kFramesPerTurn; i++) {
    const Got got = read_frame(connection);
    if (got == Got::kMore) return;
    if (got == Got::kEnd) return connection_close(connection);
    serve(connection);
    connection.payload.reset();
    drop_fds(connection.fds);
    connection.header_size = 0;
  }
}

// Whoever comes stays in the queue for a while.
void rest(Listener& listener) {
  listener.shim->loop.unwatch(listener.socket.get());
  listener.shim->loop.arm(listener.rest, kAcceptRestMs);
}

void listener_ready(Watch& watch, uint32_t) {
  auto& listener = static_cast<Listener&>(watch);
  if (listener.connections.size() >= kMaxConnections + kRefusedConnections) return rest(listener);
  Fd socket(accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    // Out of descriptors: asking again at once would be a busy loop.
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) rest(listener);
    return;
  }
  ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid()) return;
  const bool refused = listener.connections.size() >= kMaxConnections;
  Owned<Connection> made = Owned<Connection>::make();
  if (!made) return;
  Connection& connection = listener.connections.push_front(std::move(made));
  connection.on_ready = connection_ready;
  connection.shim = listener.shim;
  connection.id = listener.next_id++;
  connection.socket = std::move(socket);
  connection.refused = refused;
  if (!listener.shim->loop.watch(connection.socket.get(), connection, EPOLLIN)) connection_close(connection);
}

void accept_again(Deadline& deadline) {
  Shim& shim = *static_cast<Listener::Rest&>(deadline).shim;
  if (!shim.loop.watch(shim.listener.socket.get(), shim.listener, EPOLLIN)) shim.loop.arm(deadline, kAcceptRestMs);
}

// Sends what the socket takes and queues the rest. False: the peer does not read and is to be cut.
bool push(Connection& connection, std::string_view bytes) {
  if (connection.out.empty()) {
    const ssize_t n = send(connection.socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return true;  // its end of file will be read in the next turn
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
    if (bytes.empty()) return true;
  }
  if (connection.out_size - connection.out_at + bytes.size() > kMaxQueuedBytes) return false;
  if (connection.out_at > 0) {
    memmove(connection.out.data(), connection.out.data() + connection.out_at, connection.out_size - connection.out_at);
    connection.out_size -= connection.out_at;
    connection.out_at = 0;
  }
  if (!connection.out.resize(connection.out_size + bytes.size())) return false;
  memcpy(connection.out.data() + connection.out_size, bytes.data(), bytes.size());
  connection.out_size += bytes.size();
  connection.shim->loop.rewatch(connection.socket.get(), connection, EPOLLIN | EPOLLOUT);
  return true;
}

void send_frame(Connection& connection, std::string_view frame) {
  // A peer that does not read is cut by shutting its socket down: its connection may be in use further up the stack,
  // and is closed when the loop reads the end of file.
  if (!push(connection, frame)) shutdown(connection.socket.get(), SHUT_RDWR);
}

Connection* find_connection(Shim& shim, uint64_t id) {
  for (Connection* at = shim.listener.connections.first(); at != nullptr; at = at->next) {
    if (at->id == id) return at;
  }
  return nullptr;
}

void send_to(Shim& shim, CallRef to, FrameType type, Encoded& message) {
  Connection* connection = find_connection(shim, to.connection);
  if (connection != nullptr) send_frame(*connection, message.frame(type, to.stream));
}

}  // namespace

bool Payload::make(size_t size) {
  return size <= kPageBytes ? bytes_.make(size) : pages_.make(size);
}

void Payload::reset() {
  bytes_.reset();
  pages_.reset();
}

bool listener_open(Shim& shim, int fd) {
  Listener& listener = shim.listener;
  rlimit descriptors;
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return false;
  listener.descriptors = static_cast<int>(descriptors.rlim_cur < INT32_MAX ? descriptors.rlim_cur : INT32_MAX);
  listener.shim = listener.rest.shim = &shim;
  listener.rest.on_expired = accept_again;
  listener.socket = Fd(fd);
  listener.on_ready = listener_ready;
  return shim.loop.watch(fd, listener, EPOLLIN);
}

bool take_stream(Shim& shim, Connection& connection, std::string_view step, std::string_view about, Fault& fault) {
  Listener& listener = shim.listener;
  if (connection.streams) return true;
  if (listener.streams >= kMaxStreams) return fault.limit(step, about, kMaxStreams, "streams in a pod");
  // The lowest free number is taken: this one tells how many are in use.
  if (connection.socket.get() >= listener.descriptors - kReservedPlaces * kDescriptorsOfProbe - kOwnDescriptors) {
    return fault.limit(step, about, listener.descriptors, "open files of the shim");
  }
  connection.streams = true;
  listener.streams++;
  return true;
}

void reply(Shim& shim, CallRef to, uint32_t tag, const pb_msgdesc_t* descriptor, const void* message) {
  Encoded encoded;
  if (encoded.encode(tag, descriptor, message)) return send_to(shim, to, FrameType::kResponse, encoded);
  Fault fault;
  fault.kernel("answer", "", ENOMEM);
  reply_fault(shim, to, fault);
}

void reply_done(Shim& shim, CallRef to) {
  const berth_shim_Done done = {};
  reply(shim, to, berth_shim_Response_done_tag, berth_shim_Done_fields, &done);
}

void reply_fault(Shim& shim, CallRef to, const Fault& fault) {
  Encoded encoded;
  encode_error(fault, encoded);
  send_to(shim, to, FrameType::kResponse, encoded);
}

// Events are small: each can be told, whatever memory there is.
static_assert(berth_shim_ExitRecord_size <= Encoded::kSmallBytes &&
              berth_shim_ExecExited_size <= Encoded::kSmallBytes &&
              berth_shim_AttachEnded_size <= Encoded::kSmallBytes && berth_shim_Oom_size <= Encoded::kSmallBytes);

void send_event(Shim& shim, CallRef to, uint32_t tag, const pb_msgdesc_t* descriptor, const void* message) {
  Encoded encoded;
  if (encoded.encode(tag, descriptor, message)) send_to(shim, to, FrameType::kEvent, encoded);
}

void broadcast_event(Shim& shim, uint32_t tag, const pb_msgdesc_t* descriptor, const void* message) {
  Encoded encoded;
  if (!encoded.encode(tag, descriptor, message)) return;
  for (Connection* at = shim.listener.connections.first(); at != nullptr; at = at->next) {
    if (at->subscribed) send_frame(*at, encoded.frame(FrameType::kEvent, 0));
  }
}

void flush_connections(Shim& shim, int limit_ms) {
  const int64_t end = monotonic_ns() + int64_t{limit_ms} * 1'000'000;
  for (;;) {
    bool waiting = false;
    for (Connection* at = shim.listener.connections.first(); at != nullptr; at = at->next) waiting |= !at->out.empty();
    const int64_t left_ms = (end - monotonic_ns()) / 1'000'000;
    if (!waiting || left_ms <= 0) return;
    shim.loop.turn(static_cast<int>(left_ms));
  }
}

}  // namespace berth
