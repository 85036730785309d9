#include "shim/log_pump/tee.h"

#include <string>

#include "tests/shim/scarce.h"
#include "tests/shim/unit/check.h"
#include "tests/shim/unit/pipes.h"

namespace berth {
namespace {

struct Left {
  uint32_t client = 0;
  TeeEnd why = TeeEnd::kOver;
  int count = 0;
};

struct Setup {
  Setup() {
    if (!loop.open()) _exit(99);
    tee.loop = &loop;
    tee.owner = &left;
    tee.on_left = [](Tee& of, uint32_t client, TeeEnd why) {
      auto& seen = *static_cast<Left*>(of.owner);
      seen = {client, why, seen.count + 1};
    };
    tee.on_idle = [](Tee&) {};
  }
  ~Setup() { tee_drop(tee); }
  bool add(uint32_t id, check::Pipe* out, check::Pipe* err = nullptr) {
    Fd fds[kTeeStreams];
    if (out != nullptr) fds[0] = std::move(out->writes);
    if (err != nullptr) fds[1] = std::move(err->writes);
    return tee_add(tee, id, fds) == 0;
  }
  void copy(int stream, const std::string& text) { tee_copy(tee, stream, text.data(), text.size()); }
  void turn() {
    for (int i = 0; i < 100 && loop.turn(0); i++) continue;
  }
  Loop loop;
  Tee tee;
  Left left;
};

TEST("every client gets its streams") {
  Setup setup;
  check::Pipe one, other_out, other_err;
  CHECK(setup.add(1, &one) && setup.add(2, &other_out, &other_err));
  setup.copy(0, "out");
  setup.copy(1, "err");
  CHECK(check::drain(one.reads) == "out");
  CHECK(check::drain(other_out.reads) == "out" && check::drain(other_err.reads) == "err");
}

TEST("who falls too far behind is cut, the others are not") {
  Setup setup;
  check::Pipe slow, good;
  CHECK(setup.add(1, &slow) && setup.add(2, &good));
  const std::string block(65536, 'x');
  size_t copied = 0;
  while (setup.left.count == 0 && copied < (8u << 20)) {
    setup.copy(0, block);
    copied += block.size();
    CHECK(check::drain(good.reads).size() == block.size());
  }
  CHECK(setup.left.client == 1 && setup.left.why == TeeEnd::kSlow);
  CHECK(copied > kMaxBehindBytes && copied < kMaxBehindBytes + 3 * block.size());
  bool ended = false;
  check::drain(slow.reads, &ended);
  CHECK(ended);
}

TEST("who is behind catches up in order, and leaves at the end when he has everything") {
  Setup setup;
  check::Pipe out;
  CHECK(setup.add(7, &out));
  std::string sent, got;
  for (int i = 0; i < 60; i++) {
    std::string block;
    while (block.size() < 30'000) block += std::to_string(sent.size() + block.size()) + " ";
    setup.copy(0, block);
    sent += block;
    char bytes[28'000];
    const ssize_t n = read(out.reads.get(), bytes, sizeof bytes);
    if (n > 0) got.append(bytes, static_cast<size_t>(n));
    setup.turn();
  }
  tee_end(setup.tee);
  setup.copy(0, "after the end");
  CHECK(setup.left.count == 0);
  bool ended = false;
  for (int i = 0; i < 1000 && !ended; i++) {
    got += check::drain(out.reads, &ended);
    setup.turn();
  }
  CHECK(got == sent);
  CHECK(setup.left.count == 1 && setup.left.client == 7 && setup.left.why == TeeEnd::kOver);
}

TEST("who has everything leaves at the end at once") {
  Setup setup;
  check::Pipe out;
  CHECK(setup.add(3, &out));
  setup.copy(0, "all");
  tee_end(setup.tee);
  CHECK(setup.left.count == 1 && setup.tee.clients.empty());
}

TEST("a client leaves when nobody reads any of its streams") {
  Setup setup;
  check::Pipe out, err, idle;
  CHECK(setup.add(4, &out, &err) && setup.add(5, &idle));
  out.reads.reset();
  setup.copy(0, "x");
  CHECK(setup.left.count == 0);
  setup.copy(1, "still");
  CHECK(check::drain(err.reads) == "still");
  err.reads.reset();
  setup.turn();  // seen without anything being written
  CHECK(setup.left.count == 1 && setup.left.client == 4 && setup.left.why == TeeEnd::kGone);
  idle.reads.reset();
  setup.copy(0, "x");
  CHECK(setup.left.count == 2 && setup.left.client == 5);
}

TEST("a forgotten client is closed without a word") {
  Setup setup;
  check::Pipe out;
  CHECK(setup.add(6, &out));
  tee_forget(setup.tee, 99);
  tee_forget(setup.tee, 6);
  bool ended = false;
  check::drain(out.reads, &ended);
  CHECK(ended && setup.left.count == 0);
}

TEST("without memory a client is refused, or cut when he falls behind, and the others go on") {
  const std::string block(65536, 'x');
  const int asked = check::each_allocation_refused([&] {
    Setup setup;
    check::Pipe slow, good;
    const bool added = setup.add(1, &slow), other = setup.add(2, &good);
    bool ended = false;
    check::drain(slow.reads, &ended);
    CHECK(ended == !added && setup.left.count == 0);
    for (int i = 0; i < 4; i++) {
      setup.copy(0, block);
      if (other) CHECK(check::drain(good.reads).size() == block.size());
    }
    ended = false;
    const bool cut = setup.left.count == 1;
    CHECK(!cut || (setup.left.client == 1 && setup.left.why == TeeEnd::kSlow));
    check::drain(slow.reads, &ended);
    CHECK(ended == (cut || !added));
  });
  CHECK(asked == 3);  // two clients, and what one of them is behind
}

}  // namespace
}  // namespace berth
