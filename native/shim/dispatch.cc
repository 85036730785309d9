#include "shim/dispatch.h"

#include <fcntl.h>
#include <unistd.h>

#include "shim/attach.h"
#include "shim/features.h"
#include "shim/limits.h"
#include "shim/resize.h"
#include "shim/shim.h"

#ifndef BERTH_BUILD_ID
#define BERTH_BUILD_ID "dev"
#endif

namespace berth {
namespace {

void read_boot_id(char (&boot_id)[40]) {
  const Fd file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  const ssize_t n = file ? read(file.get(), boot_id, sizeof boot_id - 1) : 0;
  size_t size = n > 0 ? static_cast<size_t>(n) : 0;
  while (size > 0 && boot_id[size - 1] == '\n') size--;
  boot_id[size] = '\0';
}

void hello(Shim& shim, Connection& connection, CallRef call, std::string_view body) {
  Decoded<berth_shim_Hello> request(berth_shim_Hello_fields);
  Fault fault;
  if (!request.from(body, fault, "hello", "Hello")) return reply_fault(shim, call, fault);
  connection.subscribed = request->subscribe;
  berth_shim_HelloReply answer = {};
  answer.protocol = kProtocol;
  answer.features = const_cast<char**>(kFeatures);
  answer.features_count = kFeatureCount;
  answer.build_id = const_cast<char*>(BERTH_BUILD_ID);
  answer.pod_id = const_cast<char*>(shim.pod_id);
  answer.pid = static_cast<uint32_t>(getpid());
  read_boot_id(answer.boot_id);
  reply(shim, call, berth_shim_Response_hello_tag, berth_shim_HelloReply_fields, &answer);
}

}  // namespace

void dispatch(Shim& shim, Connection& connection, std::string_view payload) {
  const CallRef from = {connection.id, connection.header.stream};
  Call call;
  Fault fault;
  if (!decode_call(payload, call)) {
    fault.refuse(FaultKind::kBadMessage, "request", "", "malformed Request");
    return reply_fault(shim, from, fault);
  }
  if (connection.refused) {
    fault.limit("connections", "", kMaxConnections, "connections to a pod's shim");
    return reply_fault(shim, from, fault);
  }
  switch (call.tag) {
    case berth_shim_Request_hello_tag:
      return hello(shim, connection, from, call.body);
    case berth_shim_Request_start_pod_tag:
      return start_pod(shim, from, call.body);
    case berth_shim_Request_create_container_tag:
      return create_container(shim, from, call.body);
    case berth_shim_Request_start_container_tag:
      return start_container(shim, from, call.body);
    case berth_shim_Request_kill_container_tag:
      return kill_container(shim, from, call.body);
    case berth_shim_Request_delete_container_tag:
      return delete_container(shim, from, call.body);
    case berth_shim_Request_exec_tag:
      return exec_in_container(shim, connection, from, call.body);
    case berth_shim_Request_kill_exec_tag:
      return kill_exec(shim, from, call.body);
    case berth_shim_Request_attach_tag:
      return attach_to_container(shim, connection, from, call.body);
    case berth_shim_Request_resize_tty_tag:
      return resize_tty(shim, from, call.body);
    case berth_shim_Request_reopen_log_tag:
      return reopen_log(shim, from, call.body);
    case berth_shim_Request_get_state_tag:
      return get_state(shim, from);
    case berth_shim_Request_ack_exit_tag:
      return ack_exit(shim, from, call.body);
    case berth_shim_Request_shutdown_tag:
      return shutdown_pod(shim, from);
    default:
      fault.refuse(FaultKind::kUnsupported, "request", "", "this shim does not know the call");
      return reply_fault(shim, from, fault);
  }
}

}  // namespace berth
