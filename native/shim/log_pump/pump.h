#pragma once

namespace berth {

// The log pump's whole life: one process a pod, so that a slow disk stops only it. `control` becomes its descriptor 3.
[[noreturn]] void run_pump(int control);

}  // namespace berth
