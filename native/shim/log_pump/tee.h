// Copies of one container's output for whoever is attached to it. Nothing here waits: who falls too far behind is cut.
//
// Memory is held for a client only while he is behind.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/fd.h"
#include "common/owned.h"
#include "shim/loop.h"

namespace berth {

struct Tee;
struct TeeClient;

constexpr int kTeeStreams = 2;
constexpr size_t kMaxBehindBytes = 512 * 1024;

enum class TeeEnd { kOver, kSlow, kGone };

// One stream of one client: his pipe, and what it has not taken yet.
struct Outlet : Watch {
  TeeClient* client = nullptr;
  Fd fd;
  Pages bytes;
  size_t at = 0;
  size_t size = 0;
};

struct TeeClient {
  Tee* tee = nullptr;
  TeeClient* next = nullptr;
  uint32_t id = 0;
  bool ending = false;
  Outlet outlets[kTeeStreams];
};

struct Tee {
  // A client has left: his descriptors are closed.
  using Left = void (*)(Tee& tee, uint32_t client, TeeEnd why);
  // The last thing the tee does when it was its own event: the callee may free it.
  using Idle = void (*)(Tee& tee);

  Loop* loop = nullptr;
  void* owner = nullptr;
  Left on_left = nullptr;
  Idle on_idle = nullptr;
  OwnedList<TeeClient> clients;
};

// 0 or errno. An empty descriptor: he does not want that stream.
int tee_add(Tee& tee, uint32_t id, Fd (&fds)[kTeeStreams]);
void tee_copy(Tee& tee, int stream, const char* data, size_t size);
// Nothing more will come: each client leaves when he has what is kept for him.
void tee_end(Tee& tee);
// Forgets one client, or all, without a word.
void tee_forget(Tee& tee, uint32_t id);
void tee_drop(Tee& tee);

}  // namespace berth
