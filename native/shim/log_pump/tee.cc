#include "shim/log_pump/tee.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace berth {
namespace {

void close_outlet(Outlet& outlet) {
  if (!outlet.fd) return;
  Loop& loop = *outlet.client->tee->loop;
  loop.unwatch(outlet.fd.get());
  loop.forget(outlet);
  outlet.fd.reset();
  outlet.bytes.reset();
  outlet.at = outlet.size = 0;
}

void remove(TeeClient& client) {
  const Owned<TeeClient> removed = client.tee->clients.take(client);
  for (Outlet& outlet : client.outlets) close_outlet(outlet);
}

void leave(TeeClient& client, TeeEnd why) {
  Tee& tee = *client.tee;
  const uint32_t id = client.id;
  remove(client);
  tee.on_left(tee, id, why);
}

bool wants_nothing(const TeeClient& client) {
  for (const Outlet& outlet : client.outlets) {
    if (outlet.fd) return false;
  }
  return true;
}

bool has_everything(const TeeClient& client) {
  for (const Outlet& outlet : client.outlets) {
    if (outlet.size > 0) return false;
  }
  return true;
}

enum class Took { kAll, kSome, kGone };

// What the pipe takes now is taken off the front.
Took offer(const Outlet& outlet, const char*& data, size_t& size) {
  while (size > 0) {
    const ssize_t n = write(outlet.fd.get(), data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return Took::kSome;
    if (n < 0) return Took::kGone;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return Took::kAll;
}

// Behind what is kept already. False: more than we keep for anybody.
bool keep(Outlet& outlet, const char* data, size_t size) {
  if (outlet.size + size > kMaxBehindBytes) return false;
  if (!outlet.bytes) {
    if (!outlet.bytes.make(kMaxBehindBytes)) return false;
    outlet.client->tee->loop->rewatch(outlet.fd.get(), outlet, EPOLLOUT);
  }
  if (outlet.at + outlet.size + size > kMaxBehindBytes) {
    memmove(outlet.bytes.data(), outlet.bytes.data() + outlet.at, outlet.size);
    outlet.at = 0;
  }
  memcpy(outlet.bytes.data() + outlet.at + outlet.size, data, size);
  outlet.size += size;
  return true;
}

void copy_to(Outlet& outlet, const char* data, size_t size) {
  if (outlet.size == 0 && offer(outlet, data, size) == Took::kGone) {
    close_outlet(outlet);
    if (wants_nothing(*outlet.client)) leave(*outlet.client, TeeEnd::kGone);
    return;
  }
  if (size > 0 && !keep(outlet, data, size)) leave(*outlet.client, TeeEnd::kSlow);
}

void catch_up(Outlet& outlet) {
  const char* data = outlet.bytes.data() + outlet.at;
  size_t size = outlet.size;
  const Took took = offer(outlet, data, size);
  if (took == Took::kGone) return close_outlet(outlet);
  outlet.at = static_cast<size_t>(data - outlet.bytes.data());
  outlet.size = size;
  if (took != Took::kAll) return;
  outlet.bytes.reset();
  outlet.at = 0;
  outlet.client->tee->loop->rewatch(outlet.fd.get(), outlet, 0);
}

void outlet_ready(Watch& watch, uint32_t events) {
  auto& outlet = static_cast<Outlet&>(watch);
  TeeClient& client = *outlet.client;
  Tee& tee = *client.tee;
  if (events & (EPOLLERR | EPOLLHUP)) {  // nobody reads it any more
    close_outlet(outlet);
  } else if (outlet.size > 0) {
    catch_up(outlet);
  }
  if (wants_nothing(client)) {
    leave(client, TeeEnd::kGone);
  } else if (client.ending && has_everything(client)) {
    leave(client, TeeEnd::kOver);
  }
  tee.on_idle(tee);
}

}  // namespace

int tee_add(Tee& tee, uint32_t id, Fd (&fds)[kTeeStreams]) {
  Owned<TeeClient> made = Owned<TeeClient>::make();
  if (!made) return ENOMEM;
  TeeClient& client = tee.clients.push_front(std::move(made));
  client.tee = &tee;
  client.id = id;
  for (int i = 0; i < kTeeStreams; i++) {
    Outlet& outlet = client.outlets[i];
    outlet.client = &client;
    outlet.on_ready = outlet_ready;
    if (!fds[i]) continue;
    outlet.fd = std::move(fds[i]);
    const int fd = outlet.fd.get();
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0 && tee.loop->watch(fd, outlet, 0)) continue;
    const int error = errno;
    remove(client);
    return error;
  }
  return 0;
}

void tee_copy(Tee& tee, int stream, const char* data, size_t size) {
  for (TeeClient* at = tee.clients.first(); at != nullptr;) {
    TeeClient* const next = at->next;
    if (at->outlets[stream].fd && !at->ending) copy_to(at->outlets[stream], data, size);
    at = next;
  }
}

void tee_end(Tee& tee) {
  for (TeeClient* at = tee.clients.first(); at != nullptr;) {
    TeeClient* const next = at->next;
    at->ending = true;
    if (has_everything(*at)) leave(*at, TeeEnd::kOver);
    at = next;
  }
}

void tee_forget(Tee& tee, uint32_t id) {
  for (TeeClient* at = tee.clients.first(); at != nullptr; at = at->next) {
    if (at->id == id) return remove(*at);
  }
}

void tee_drop(Tee& tee) {
  while (!tee.clients.empty()) remove(*tee.clients.first());
}

}  // namespace berth
