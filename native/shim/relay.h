// One direction of a conversation: bytes from one descriptor to another, through a small buffer. Nothing is read while
// the buffer waits for its sink: whoever writes too fast is held back.
#pragma once

#include <cstddef>

#include "common/fd.h"
#include "common/owned.h"
#include "shim/loop.h"

namespace berth {

struct Relay;

// kFailed: what was to be watched cannot be (memory is used up).
enum class RelayEnd { kSourceEnded, kSinkGone, kFailed };

struct RelaySide : Watch {
  Relay* relay = nullptr;
  Fd fd;
  bool watched = false;
  uint32_t events = 0;
  bool hung_up = false;  // a terminal's master, whose other side nobody had open when it was used last
};

struct Relay {
  // The last thing a relay does: its descriptors are closed, and the callee may free it.
  using Ended = void (*)(Relay& relay, RelayEnd why);

  Ended on_ended = nullptr;
  void* owner = nullptr;
  Loop* loop = nullptr;
  RelaySide source, sink;
  Pages buffer;  // none: not open
  size_t at = 0;
  size_t size = 0;
  bool source_ended = false;
  // One side is the master of a terminal whose process lives. It is told as hung up, and reading fails, whenever nobody
  // has the user side open at that moment; until relay_process_ended() that is no end: somebody may open it again, and
  // reads what was typed meanwhile.
  bool terminal_lives = false;
};

// Both descriptors become the relay's and non-blocking. Without a sink everything is read and dropped. False with
// errno.
bool relay_open(Relay& relay, Loop& loop, Fd source, Fd sink);
// From now on a hang-up is an end. May end the relay at once.
void relay_process_ended(Relay& relay);
// Passes on what is there, as far as it goes without waiting, and closes.
void relay_finish(Relay& relay);
void relay_close(Relay& relay);
inline bool relay_is_open(const Relay& relay) {
  return static_cast<bool>(relay.buffer);
}

// A client's descriptor is a pipe or a socket: anything else (/dev/null) means that he does not want the stream.
bool is_stream(int fd);

}  // namespace berth
