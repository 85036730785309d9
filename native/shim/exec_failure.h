// Why a command did not run: by itself, or because its container was ending meanwhile.
#pragma once

#include "shim/container.h"
#include "shim/exec.h"

namespace berth {

// Answers now; or, where the end of the container may be the cause, when it has ended or has had its time to.
void exec_failed(Exec& exec, const Fault& fault);
// Answers those that wait for this.
void execs_container_ended(Shim& shim, const Container& container);

}  // namespace berth
