// Waits for the end of children by pidfd: one epoll loop for all of them, and each is reaped by its own pidfd, never by
// waitpid(-1), so that it cannot take a child of libuv.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <unordered_map>

#include "addon/mailbox.h"
#include "common/fd.h"

namespace berth::addon {

class WaitThread {
 public:
  WaitThread() = default;
  ~WaitThread();
  WaitThread(const WaitThread&) = delete;
  WaitThread& operator=(const WaitThread&) = delete;

  // JavaScript thread.
  Napi::Value wait(Napi::Env env, int pidfd);

 private:
  static constexpr size_t limit = 65536;

  int start(Napi::Env env);
  static void* thread_main(void* self);
  void loop();

  Fd epoll_;
  Fd stop_;
  pthread_t thread_{};
  std::shared_ptr<Mailbox> mailbox_;
  std::mutex mutex_;
  // By our own duplicate of the pidfd, so that the caller may close his at any time.
  std::unordered_map<int, std::unique_ptr<Job>> waiting_;
};

}  // namespace berth::addon
