#include "shim/resize.h"

#include "shim/exec_terminal.h"
#include "shim/shim.h"
#include "shim/terminal.h"

namespace berth {
namespace {

bool well_formed(const berth_shim_ResizeTty& request) {
  const bool one_target = (request.container_id[0] == '\0') != (request.exec_id[0] == '\0');
  return one_target && request.columns > 0 && request.columns <= UINT16_MAX && request.rows > 0 &&
         request.rows <= UINT16_MAX;
}

bool resize_container(Shim& shim, const berth_shim_ResizeTty& request, Fault& fault) {
  const char* id = request.container_id;
  const Container* container = find_container(shim, id);
  if (container == nullptr) return fault.refuse(FaultKind::kNotFound, "resize", id, "no such container");
  const Fd& master = container->log.streams[0];
  if (container->tty && master && set_terminal_size(master.get(), request.columns, request.rows)) return true;
  return fault.refuse(FaultKind::kState, "resize", id, "the container has no terminal");
}

bool resize_exec(Shim& shim, const berth_shim_ResizeTty& request, Fault& fault) {
  const char* id = request.exec_id;
  const Exec* exec = find_exec(shim, id);
  if (exec == nullptr) return fault.refuse(FaultKind::kNotFound, "resize", id, "no such exec");
  if (exec_terminal_resize(*exec, request.columns, request.rows)) return true;
  return fault.refuse(FaultKind::kState, "resize", id, "the exec has no terminal");
}

}  // namespace

void resize_tty(Shim& shim, CallRef call, std::string_view body) {
  Fault fault;
  Decoded<berth_shim_ResizeTty> request(berth_shim_ResizeTty_fields);
  if (!request.from(body, fault, "resize", "ResizeTty")) return reply_fault(shim, call, fault);
  if (!well_formed(*request)) {
    fault.refuse(FaultKind::kBadMessage, "resize", "", "malformed ResizeTty");
    return reply_fault(shim, call, fault);
  }
  const bool done =
      request->exec_id[0] != '\0' ? resize_exec(shim, *request, fault) : resize_container(shim, *request, fault);
  if (!done) return reply_fault(shim, call, fault);
  reply_done(shim, call);
}

}  // namespace berth
