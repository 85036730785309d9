#include "shim/log_pump/cri_format.h"

#include <stdlib.h>
#include <string.h>

#include <string>

#include "tests/shim/unit/check.h"

namespace berth {
namespace {

constexpr int64_t kTime = 1'767'323'045'000'000'042;  // 2026-01-02T03:04:05.000000042Z

// A stream that is fed in pieces; keeps what came out.
struct Fed {
  Fed() { CHECK(carry.bytes.make(kMaxLineBytes)); }
  Fed& feed(std::string_view input, size_t room = 128 * 1024) {
    OwnedArray<char> out;
    CHECK(out.make(room));
    while (!input.empty()) {
      const size_t size = format_records(carry, input, record_prefix(kTime, "stdout"), out.data(), room);
      text.append(out.data(), size);
    }
    return *this;
  }
  Fed& end() {
    OwnedArray<char> out;
    CHECK(out.make(kMaxRecordBytes));
    text.append(out.data(), format_rest(carry, record_prefix(kTime, "stdout"), out.data(), kMaxRecordBytes));
    return *this;
  }
  Carry carry;
  std::string text;
};

std::string record(const char* tag, const std::string& line) {
  return "2026-01-02T03:04:05.000000042Z stdout " + std::string(tag) + " " + line + "\n";
}

std::string stamp(int64_t ns) {
  return std::string(record_prefix(ns, "stderr").text, kRecordPrefixBytes);
}

TEST("times are written as RFC 3339 with nine digits, in UTC") {
  CHECK(stamp(0) == "1970-01-01T00:00:00.000000000Z stderr F ");
  CHECK(stamp(951'782'400'999'999'999) == "2000-02-29T00:00:00.999999999Z stderr F ");
  CHECK(stamp(1'709'251'199'000'000'001) == "2024-02-29T23:59:59.000000001Z stderr F ");
  CHECK(stamp(4'102'444'800'000'000'000) == "2100-01-01T00:00:00.000000000Z stderr F ");
  CHECK(stamp(1'798'761'599'123'456'789) == "2026-12-31T23:59:59.123456789Z stderr F ");
}

TEST("every line is a record") {
  CHECK(Fed().feed("one\n\ntwo\n").text == record("F", "one") + record("F", "") + record("F", "two"));
}

TEST("a line that comes in pieces is one record") {
  Fed fed;
  fed.feed("he").feed("ll");
  CHECK(fed.text.empty());
  CHECK(fed.feed("o\nx\n").text == record("F", "hello") + record("F", "x"));
}

TEST("a line of exactly the limit is whole, one byte more is split") {
  const std::string most(kMaxLineBytes, 'a');
  CHECK(Fed().feed(most + "\n").text == record("F", most));
  CHECK(Fed().feed(most + "b\n").text == record("P", most) + record("F", "b"));
  CHECK(Fed().feed(most).feed("\n").text == record("F", most));
  CHECK(Fed().feed(most).feed("b").feed("\n").text == record("P", most) + record("F", "b"));
}

TEST("a very long line becomes many parts and one end") {
  const std::string most(kMaxLineBytes, 'z');
  CHECK(Fed().feed(most + most + most + "end\n").text ==
        record("P", most) + record("P", most) + record("P", most) + record("F", "end"));
}

TEST("what is left at the end of a stream is a part, and nothing left is nothing") {
  CHECK(Fed().feed("no newline").end().text == record("P", "no newline"));
  CHECK(Fed().feed("a\n").end().text == record("F", "a"));
}

TEST("bytes are kept as they are, zeros and carriage returns too") {
  const std::string odd("a\0b\r\xff", 5);
  CHECK(Fed().feed(odd + "\n").text == record("F", odd));
}

TEST("a small buffer takes several rounds and loses nothing") {
  std::string input, wanted;
  for (int i = 0; i < 5000; i++) {
    const std::string line = std::to_string(i) + std::string(static_cast<size_t>(i % 97), 'q');
    input += line + "\n";
    wanted += record("F", line);
  }
  CHECK(Fed().feed(input, kMaxRecordBytes).text == wanted);
}

TEST("however the input is cut, the records are the same") {
  std::string input, wanted;
  for (int i = 0; i < 40; i++) {
    const std::string line(static_cast<size_t>(i * 1013 % 40000), static_cast<char>('a' + i % 26));
    input += line + "\n";
  }
  wanted = Fed().feed(input).text;
  srand(7);
  for (int round = 0; round < 50; round++) {
    Fed fed;
    for (size_t at = 0; at < input.size();) {
      const size_t take = 1 + static_cast<size_t>(rand()) % 20000;
      fed.feed(std::string_view(input).substr(at, take));
      at += take;
    }
    CHECK(fed.text == wanted);
  }
}

}  // namespace
}  // namespace berth
