#include "unpack/result.h"

#include "addon/tests/check.h"
#include "unpack/json.h"

using namespace berth::unpack;

TEST("every byte of a name becomes one character") {
  std::string out;
  append_json_string(&out, std::string_view("a\"\\\n\0\xe9", 6));
  CHECK(out == R"("a\"\\\u000a\u0000\u00e9")");
}

TEST("a result is one line") {
  Result result;
  result.compressed = "sha256:1";
  result.diff_id = "sha256:2";
  result.stream_bytes = 3;
  result.bytes = 4;
  result.inodes = 5;
  result.ignored = 6;
  result.implied = {"a", "b/c"};
  CHECK(to_json(result) ==
        R"({"ok":true,"compressed":"sha256:1","diffId":"sha256:2","streamBytes":3,"bytes":4,"inodes":5,"ignored":6,)"
        R"("implied":["a","b/c"],"opaque":[]})"
        "\n");
}

TEST("a failure is one line of bounded length") {
  Failure failure;
  failure.set(Code::kInvalid, "no\nway");
  failure.entry = std::string(10'000, 'x');
  const std::string line = to_json(failure);
  CHECK(line.size() < 1000 && line.find('\n') == line.size() - 1);
  CHECK(line.find(R"("code":"INVALID")") != std::string::npos);
}
