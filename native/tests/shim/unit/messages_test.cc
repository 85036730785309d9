#include "shim/messages.h"

#include <stdlib.h>
#include <string.h>

#include <string>

#include "tests/shim/unit/check.h"

namespace berth {
namespace {

// A field with a length: its tag, its size, its bytes.
std::string field(int number, const std::string& bytes) {
  std::string out;
  for (size_t value : {static_cast<size_t>(number << 3 | 2), bytes.size()}) {
    while (value > 127) {
      out += static_cast<char>(value % 128 + 128);
      value /= 128;
    }
    out += static_cast<char>(value);
  }
  return out + bytes;
}

TEST("a request is taken apart without copying") {
  const std::string body = field(1, "c1");
  const std::string bytes = field(berth_shim_Request_start_container_tag, body);
  Call call;
  CHECK(decode_call(bytes, call));
  CHECK(call.tag == berth_shim_Request_start_container_tag && call.body == body);
  CHECK(call.body.data() >= bytes.data() && call.body.data() < bytes.data() + bytes.size());
}

TEST("an empty message in a request is still that call") {
  Call call;
  CHECK(decode_call(field(berth_shim_Request_get_state_tag, ""), call));
  CHECK(call.tag == berth_shim_Request_get_state_tag && call.body.empty());
}

TEST("what is no single call is refused") {
  Call call;
  CHECK(!decode_call("", call));
  CHECK(
      !decode_call("\x0a\x05"
                   "ab",
                   call));                                   // cut short
  CHECK(!decode_call(std::string("\x08\x01", 2), call));     // a number
  CHECK(!decode_call(field(1, "a") + field(2, "b"), call));  // two calls
  CHECK(!decode_call("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", call));
}

TEST("a plan stays where it is and the rest is read") {
  std::string_view plan;
  const std::string bytes = field(2, "name") + field(3, std::string(100'000, 'p')) + field(6, "/kill");
  Decoded<berth_shim_CreateContainer> request(berth_shim_CreateContainer_fields);
  request->plan = remember_bytes(&plan);
  CHECK(request.from(bytes));
  CHECK(plan.size() == 100'000 && plan.data() > bytes.data() && plan.data() < bytes.data() + bytes.size());
  CHECK(std::string_view(request->id) == "name" && view_of(request->kill_dir) == "/kill");
}

TEST("an id that is too long is refused, not cut") {
  Decoded<berth_shim_StartContainer> request(berth_shim_StartContainer_fields);
  CHECK(!request.from(field(1, std::string(128, 'x'))));
  Decoded<berth_shim_StartContainer> fits(berth_shim_StartContainer_fields);
  CHECK(fits.from(field(1, std::string(127, 'x'))));
}

TEST("arguments and environment become vectors that end with a null pointer") {
  StringVector args, env;
  berth_shim_Process process = {};
  process.args = collect_strings(&args);
  process.env = collect_strings(&env);
  const std::string big(70'000, 'v');  // more than nanopb's own strings may have
  CHECK(decode_message(berth_shim_Process_fields, &process, field(1, "sh") + field(1, "") + field(2, "A=" + big)));
  CHECK(args.count == 2 && strcmp(args.items[0], "sh") == 0 && args.items[1][0] == '\0' && args.items[2] == nullptr);
  CHECK(env.count == 1 && strlen(env.items[0]) == big.size() + 2 && env.items[1] == nullptr);
  for (StringVector* vector : {&args, &env}) {
    for (size_t i = 0; i < vector->count; i++) free(vector->items[i]);
    free(vector->items);
  }
}

TEST("an argument with a zero byte is refused") {
  StringVector args;
  berth_shim_Process process = {};
  process.args = collect_strings(&args);
  CHECK(!decode_message(berth_shim_Process_fields, &process, field(1, std::string("a\0b", 3))));
  free(args.items);
}

TEST("a plan's cgroup directories are found without decoding it") {
  const std::string first = field(5, field(1, "/cg/cpu/x")), second = field(5, field(1, "/cg/memory/x"));
  char* bytes;
  size_t size;
  CHECK(copy_cgroup_dirs(field(7, "mount") + first + field(8, "mask") + second, &bytes, &size));
  CHECK(std::string(bytes, size) == first + second);
  free(bytes);
  CHECK(copy_cgroup_dirs("", &bytes, &size) && size == 0 && bytes == nullptr);
  CHECK(
      !copy_cgroup_dirs("\x2a\x7f"
                        "short",
                        &bytes, &size));
}

TEST("an error is the first field of a response") {
  Fault fault;
  fault.kernel("mount", "/data", 13);
  const Encoded encoded = encode_error(fault);
  Call envelope;
  CHECK(decode_call(encoded.view(), envelope) && envelope.tag == berth_shim_Response_error_tag);
  Decoded<berth_shim_Error> error(berth_shim_Error_fields);
  CHECK(error.from(envelope.body));
  CHECK(view_of(error->step) == "mount" && view_of(error->path) == "/data");
}

TEST("random bytes never do harm") {
  srand(11);
  for (int round = 0; round < 20'000; round++) {
    std::string bytes(static_cast<size_t>(rand() % 64), '\0');
    for (char& c : bytes) c = static_cast<char>(rand());
    Call call;
    decode_call(bytes, call);
    Decoded<berth_shim_StartPod> pod(berth_shim_StartPod_fields);
    pod.from(bytes);
    Decoded<berth_shim_ContainerPlan> plan(berth_shim_ContainerPlan_fields);
    plan.from(bytes);
    char* dirs;
    size_t size;
    copy_cgroup_dirs(bytes, &dirs, &size);
    free(dirs);
  }
}

}  // namespace
}  // namespace berth
