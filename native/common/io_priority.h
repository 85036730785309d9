/* The constants of ioprio_set(2). <linux/ioprio.h> has them, but is no C++: since Linux 6.5, and in the updates of
   Debian 12, a parameter there is named `class`. io_priority.c compares them with the kernel's own. */
#pragma once

enum {
  BERTH_IOPRIO_WHO_PROCESS = 1,
  BERTH_IOPRIO_CLASS_SHIFT = 13,
  BERTH_IOPRIO_CLASS_IDLE = 3,
};
