#include "shim/messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <string>

#include "tests/shim/scarce.h"
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

// Whether it could be decoded; the fault is of no interest.
template <typename T>
bool decodes(Decoded<T>& message, const std::string& bytes) {
  Fault ignored;
  return message.from(bytes, ignored, "test", "message");
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
  CHECK(decodes(request, bytes));
  CHECK(plan.size() == 100'000 && plan.data() > bytes.data() && plan.data() < bytes.data() + bytes.size());
  CHECK(std::string_view(request->id) == "name" && view_of(request->kill_dir) == "/kill");
}

TEST("an id that is too long is refused, not cut") {
  Decoded<berth_shim_StartContainer> request(berth_shim_StartContainer_fields);
  CHECK(!decodes(request, field(1, std::string(128, 'x'))));
  Decoded<berth_shim_StartContainer> fits(berth_shim_StartContainer_fields);
  CHECK(decodes(fits, field(1, std::string(127, 'x'))));
}

TEST("arguments and environment become vectors that end with a null pointer") {
  OwnedStrings args, env;
  Decoded<berth_shim_Process> process(berth_shim_Process_fields);
  process->args = collect_strings(&args);
  process->env = collect_strings(&env);
  const std::string big(70'000, 'v');  // more than nanopb's own strings may have
  CHECK(decodes(process, field(1, "sh") + field(1, "") + field(2, "A=" + big)));
  CHECK(args.size() == 2 && strcmp(args.items()[0], "sh") == 0 && args.items()[1][0] == '\0' &&
        args.items()[2] == nullptr);
  CHECK(env.size() == 1 && strlen(env.items()[0]) == big.size() + 2 && env.items()[1] == nullptr);
}

TEST("an argument with a zero byte is refused") {
  OwnedStrings args;
  Decoded<berth_shim_Process> process(berth_shim_Process_fields);
  process->args = collect_strings(&args);
  CHECK(!decodes(process, field(1, std::string("a\0b", 3))));
}

TEST("a plan's cgroup directories are found without decoding it") {
  const std::string first = field(5, field(1, "/cg/cpu/x")), second = field(5, field(1, "/cg/memory/x"));
  OwnedArray<char> copy;
  Fault fault;
  CHECK(copy_cgroup_dirs(field(7, "mount") + first + field(8, "mask") + second, copy, fault));
  CHECK(std::string_view(copy.data(), copy.size()) == first + second);
  CHECK(copy_cgroup_dirs("", copy, fault) && copy.empty());
  CHECK(
      !copy_cgroup_dirs("\x2a\x7f"
                        "short",
                        copy, fault));
  CHECK(fault.kind == FaultKind::kBadMessage && copy.empty());
}

TEST("an error is the first field of a response") {
  Fault fault;
  fault.kernel("mount", "/data", 13);
  Encoded encoded;
  encode_error(fault, encoded);
  Call envelope;
  CHECK(decode_call(encoded.view(), envelope) && envelope.tag == berth_shim_Response_error_tag);
  Decoded<berth_shim_Error> error(berth_shim_Error_fields);
  CHECK(decodes(error, std::string(envelope.body)));
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
    decodes(pod, bytes);
    Decoded<berth_shim_ContainerPlan> plan(berth_shim_ContainerPlan_fields);
    decodes(plan, bytes);
    OwnedArray<char> dirs;
    Fault fault;
    copy_cgroup_dirs(bytes, dirs, fault);
  }
}

TEST("without memory a message is refused as that, and is not called malformed") {
  const std::string process =
      field(1, "sh") + field(1, "-c") + field(2, "A=1") + field(3, "/work") + field(16, "filter");
  const std::string bytes = field(6, field(1, "/layers") + field(2, "one") + field(2, "two")) +
                            field(5, field(1, "/cg/cpu/x")) + field(7, field(2, "/data") + field(3, "/d")) +
                            field(12, process);
  int refused = 0;
  const int asked = check::each_allocation_refused([&] {
    OwnedStrings args, env;
    Decoded<berth_shim_ContainerPlan> plan(berth_shim_ContainerPlan_fields);
    plan->process.args = collect_strings(&args);
    plan->process.env = collect_strings(&env);
    Fault fault;
    if (plan.from(bytes, fault, "plan", "ContainerPlan")) return;
    refused++;
    CHECK(fault.kind == FaultKind::kKernel && fault.error == ENOMEM && std::string_view(fault.step) == "plan");
  });
  CHECK(asked >= 15 && refused == asked);
  OwnedArray<char> copy;
  Fault fault;
  const check::Scarce scarce(1);
  CHECK(!copy_cgroup_dirs(bytes, copy, fault) && fault.error == ENOMEM && copy.empty());
}

TEST("a small message needs no memory, and a large one fails without") {
  Fault fault;
  fault.kernel("mount", std::string(2000, 'p'), 13);
  Encoded encoded;
  {
    const check::Scarce scarce(1);
    encode_error(fault, encoded);
    CHECK(!scarce.felt() && encoded.view().size() > sizeof fault.path);
  }
  std::string features[2] = {std::string(Encoded::kSmallBytes, 'f'), "g"};
  char* list[] = {features[0].data(), features[1].data()};
  berth_shim_HelloReply reply = {};
  reply.features = list;
  reply.features_count = 2;
  {
    const check::Scarce scarce(1);
    CHECK(!encoded.encode(berth_shim_Response_hello_tag, berth_shim_HelloReply_fields, &reply) && scarce.felt());
  }
  CHECK(encoded.encode(berth_shim_Response_hello_tag, berth_shim_HelloReply_fields, &reply));
  const std::string_view frame = encoded.frame(FrameType::kResponse, 7);
  CHECK(frame.size() == kFrameHeaderBytes + encoded.view().size() && frame.ends_with(encoded.view()));
  Call envelope;
  CHECK(decode_call(encoded.view(), envelope) && envelope.tag == berth_shim_Response_hello_tag);
}

}  // namespace
}  // namespace berth
