#include "shim/fault.h"

#include <errno.h>
#include <string.h>

#include "common/text.h"
#include "tests/shim/unit/check.h"

namespace berth {
namespace {

std::string_view copied(std::string_view from, size_t room) {
  static char to[64];
  memset(to, 'x', sizeof to);
  copy_text(to, room, from);
  return to;
}

TEST("text that is UTF-8 is copied as it is") {
  CHECK(copied("/vol/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 64) == "/vol/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST("bytes that are no UTF-8 become question marks") {
  CHECK(copied("a\xff"
               "b",
               64) == "a?b");
  CHECK(copied("\xc0\x80", 64) == "??");            // overlong
  CHECK(copied("\xed\xa0\x80", 64) == "???");       // a surrogate
  CHECK(copied("\xe2\x82", 64) == "??");            // cut short
  CHECK(copied("\xf4\x90\x80\x80", 64) == "????");  // beyond the last character
}

TEST("text is cut between characters, never inside one") {
  CHECK(copied("abc", 3) == "ab");
  CHECK(copied("a\xc3\xa4", 3) == "a");
  CHECK(copied("a\xc3\xa4", 4) == "a\xc3\xa4");
  CHECK(copied("abc", 1) == "");
}

TEST("a fault says step, path and error") {
  Fault fault;
  CHECK(!fault.kernel("mount", "/data", EACCES));
  CHECK(fault.error == EACCES && std::string_view(fault.step) == "mount" && std::string_view(fault.path) == "/data");
  CHECK(!fault.start("execve", "sh", ENOENT));
  CHECK(fault.kind == FaultKind::kStart);
}

TEST("fixed text cuts what does not fit and says so") {
  Text<8> text("12345678");
  CHECK(text.view() == "1234567" && text.cut());
  Text<24> numbers;
  numbers.add_number(INT64_MIN).add(" ").add_number(0);
  CHECK(numbers.view() == "-9223372036854775808 0" && !numbers.cut());
}

}  // namespace
}  // namespace berth
