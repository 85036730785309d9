#include "shim/relay.h"

#include "tests/shim/scarce.h"
#include "tests/shim/unit/check.h"
#include "tests/shim/unit/pipes.h"

namespace berth {
namespace {

struct Ends {
  int count = 0;
  RelayEnd last = RelayEnd::kSourceEnded;
};

struct Setup {
  Setup() {
    if (!loop.open()) _exit(99);
    relay.owner = &ends;
    relay.on_ended = [](Relay& ended, RelayEnd why) {
      auto& seen = *static_cast<Ends*>(ended.owner);
      seen.count++;
      seen.last = why;
    };
  }
  bool open() { return relay_open(relay, loop, std::move(in.reads), std::move(out.writes)); }
  void turn() {
    for (int i = 0; i < 100 && loop.turn(0); i++) continue;
  }
  check::Pipe in, out;
  Loop loop;
  Ends ends;
  Relay relay;
};

TEST("a relay passes on what comes, and the end after it") {
  Setup setup;
  CHECK(setup.open());
  CHECK(write(setup.in.writes.get(), "hello", 5) == 5);
  setup.turn();
  CHECK(check::drain(setup.out.reads) == "hello");
  CHECK(write(setup.in.writes.get(), "last", 4) == 4);
  setup.in.writes.reset();
  setup.turn();
  bool ended = false;
  CHECK(check::drain(setup.out.reads, &ended) == "last" && ended);
  CHECK(setup.ends.count == 1 && setup.ends.last == RelayEnd::kSourceEnded);
  CHECK(!relay_is_open(setup.relay));
}

TEST("a relay reads no more than its buffer while its sink is full, and rests meanwhile") {
  Setup setup;
  CHECK(setup.open());
  size_t sent = 0;
  for (int i = 0; i < 50; i++) {
    sent += check::stuff(setup.in.writes, 1 << 20);
    setup.turn();
  }
  CHECK(sent < 200'000);       // two pipes and the buffer
  CHECK(!setup.loop.turn(0));  // and nothing to do until the sink is read
  setup.in.writes.reset();     // not even for the end of the source
  CHECK(!setup.loop.turn(0));
  size_t got = 0;
  bool ended = false;
  for (int i = 0; i < 100 && !ended; i++) {
    got += check::drain(setup.out.reads, &ended).size();
    setup.turn();
  }
  CHECK(got == sent && ended);
}

TEST("a reader that goes ends the relay, also while there is nothing to say") {
  Setup setup;
  CHECK(setup.open());
  setup.turn();
  setup.out.reads.reset();
  setup.turn();
  CHECK(setup.ends.count == 1 && setup.ends.last == RelayEnd::kSinkGone);
  CHECK(check::stuff(setup.in.writes, 1) == 0);  // the source is closed, too
}

TEST("without a sink everything is read and dropped") {
  Setup setup;
  CHECK(relay_open(setup.relay, setup.loop, std::move(setup.in.reads), Fd()));
  size_t sent = 0;
  for (int i = 0; i < 50; i++) {
    sent += check::stuff(setup.in.writes, 1 << 20);
    setup.turn();
  }
  CHECK(sent > 1'000'000);
  setup.in.writes.reset();
  setup.turn();
  CHECK(setup.ends.count == 1);
}

TEST("finishing passes on what is there without being asked, and is no end of its own") {
  Setup setup;
  CHECK(setup.open());
  CHECK(write(setup.in.writes.get(), "rest", 4) == 4);
  relay_finish(setup.relay);
  bool ended = false;
  CHECK(check::drain(setup.out.reads, &ended) == "rest" && ended);
  CHECK(setup.ends.count == 0);
  relay_finish(setup.relay);
  relay_close(setup.relay);
}

TEST("only pipes and sockets are streams") {
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const Fd directory(open("/", O_RDONLY | O_CLOEXEC));
  const check::Pipe pipe;
  CHECK(!is_stream(null.get()) && !is_stream(directory.get()) && !is_stream(-1));
  CHECK(is_stream(pipe.reads.get()) && is_stream(pipe.writes.get()));
}

TEST("without memory a relay is not opened, and closes what it was given") {
  Setup setup;
  {
    const check::Scarce scarce(1);
    CHECK(!setup.open() && scarce.felt() && !relay_is_open(setup.relay));
  }
  bool ended = false;
  check::drain(setup.out.reads, &ended);
  CHECK(ended && setup.ends.count == 0);
  relay_finish(setup.relay);
  relay_close(setup.relay);
}

}  // namespace
}  // namespace berth
