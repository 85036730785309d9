// Nothing is built of this file: it proves, in C, that io_priority.h says what the kernel's header says.
#include "common/io_priority.h"

#include <linux/ioprio.h>

_Static_assert((int)BERTH_IOPRIO_WHO_PROCESS == (int)IOPRIO_WHO_PROCESS, "IOPRIO_WHO_PROCESS");
_Static_assert((int)BERTH_IOPRIO_CLASS_SHIFT == (int)IOPRIO_CLASS_SHIFT, "IOPRIO_CLASS_SHIFT");
_Static_assert((int)BERTH_IOPRIO_CLASS_IDLE == (int)IOPRIO_CLASS_IDLE, "IOPRIO_CLASS_IDLE");
