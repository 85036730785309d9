// Epoll instances whose watches no container can use up.
//
// Linux counts watches (fs.epoll.max_user_watches) by the real user id of whoever makes the instance, whoever adds to
// it later: a container's root that is the node's root as well would have the same count as we, and could leave us
// none. So instances are made under a number that only we know: a container may take any user id that it can name.
#pragma once

#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace berth {

constexpr uint32_t kFirstSecretUid = uint32_t{1} << 31;  // users of the machine and of pods lie below

// From 2^31 to 2^32-2; 0: the kernel gave no random number.
inline uint32_t secret_uid() {
  uint32_t number = 0;
  if (getrandom(&number, sizeof number, GRND_INSECURE) != static_cast<ssize_t>(sizeof number)) return 0;
  number |= kFirstSecretUid;
  return number == UINT32_MAX ? kFirstSecretUid : number;
}

// epoll_create1(2) with `uid` as this thread's real user id for as long as that takes. Effective and saved id stay
// root's, and with that all capabilities. Where it may not be changed (no CAP_SETUID) the instance is an ordinary one,
// and `refusal` is why (errno; 0: it is apart). The calling thread alone is changed: the C library would change all.
inline int epoll_create_apart(uint32_t uid, int flags, int& refusal) {
  uid_t real, effective, saved;
  getresuid(&real, &effective, &saved);
  refusal = uid == 0 ? EAGAIN : effective != 0 || saved != 0 ? EPERM : 0;
  if (refusal == 0 && syscall(SYS_setresuid, uid, -1, -1) != 0) refusal = errno;
  const int epoll = static_cast<int>(syscall(SYS_epoll_create1, flags));
  if (refusal != 0) return epoll;
  const int error = errno;
  if (syscall(SYS_setresuid, real, -1, -1) == 0) {
    errno = error;
    return epoll;
  }
  // Out of memory. Nothing may go on under another's id, so this is told like a failure to make the instance.
  const int why = errno;
  if (epoll >= 0) close(epoll);
  errno = why;
  return -1;
}

}  // namespace berth
