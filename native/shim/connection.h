// The listener and its connections: frames in, frames out, both bounded.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/fd.h"
#include "common/owned.h"
#include "shim/frame.h"
#include "shim/loop.h"
#include "shim/messages.h"

namespace berth {

struct Shim;

// Names a caller that waits for an answer. Outlives its connection: then the answer is dropped.
struct CallRef {
  uint64_t connection = 0;  // 0: nobody
  uint32_t stream = 0;
};

struct PassedFds {
  Fd items[3];
  int count = 0;
};

// A request's bytes. More than a page of them have pages of their own, which go back to the kernel at once.
class Payload {
 public:
  // False: there is no memory.
  [[nodiscard]] bool make(size_t size);
  void reset();
  char* data() const { return pages_ ? pages_.data() : bytes_.data(); }

 private:
  OwnedArray<char> bytes_;
  Pages pages_;
};

struct Connection : Watch {
  Shim* shim = nullptr;
  uint64_t id = 0;
  Fd socket;
  bool subscribed = false;
  bool refused = false;  // one too many
  bool streams = false;  // an exec's or an attach's: takes one of their places
  Connection* next = nullptr;

  // The request being received: its payload when its header is whole.
  uint8_t header_bytes[kFrameHeaderBytes];
  size_t header_size = 0;
  FrameHeader header;
  Payload payload;
  size_t payload_size = 0;
  bool unread = false;  // there is no memory for it: it is passed over
  PassedFds fds;

  // Bytes the peer has not taken yet.
  OwnedArray<char> out;
  size_t out_size = 0;
  size_t out_at = 0;
};

struct Listener : Watch {
  struct Rest : Deadline {
    Shim* shim = nullptr;
  };
  Rest rest;  // while descriptors are used up
  Shim* shim = nullptr;
  Fd socket;
  OwnedList<Connection> connections;
  int streams = 0;
  int descriptors = 0;  // how many the shim may have
  uint64_t next_id = 1;
};

bool listener_open(Shim& shim, int fd);

// Takes one of the places for streams, until the connection is closed.
bool take_stream(Shim& shim, Connection& connection, std::string_view step, std::string_view about, Fault& fault);

void reply(Shim& shim, CallRef to, uint32_t tag, const pb_msgdesc_t* descriptor, const void* message);
void reply_done(Shim& shim, CallRef to);
void reply_fault(Shim& shim, CallRef to, const Fault& fault);
// An event to the connection of `to` on its stream; and one to everybody who subscribed.
void send_event(Shim& shim, CallRef to, uint32_t tag, const pb_msgdesc_t* descriptor, const void* message);
void broadcast_event(Shim& shim, uint32_t tag, const pb_msgdesc_t* descriptor, const void* message);
// Gives queued bytes a last chance, at most `limit_ms`.
void flush_connections(Shim& shim, int limit_ms);

}  // namespace berth
