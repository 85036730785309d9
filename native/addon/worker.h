// A thread with a bounded queue, started with its first job. What blocks blocks only this queue: libuv's pool has four
// threads, which LevelDB needs and nobody can cancel.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

#include "addon/mailbox.h"

namespace berth::addon {

class Worker {
 public:
  // `name` is what ps shows, at most 15 bytes.
  explicit Worker(const char* name) : name_(name) {}
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // JavaScript thread. The promise is rejected with EAGAIN when the queue is full.
  Napi::Value run(Napi::Env env, std::unique_ptr<Job> job);

 private:
  static constexpr size_t queue_limit = 65536;  // several for each call that may run

  // Shared with the thread, which may outlive us when it is stuck in the kernel at the end of the process.
  struct State {
    std::mutex mutex;
    std::condition_variable work;
    std::deque<std::unique_ptr<Job>> queue;
    std::shared_ptr<Mailbox> mailbox;
    bool stopping = false;
    bool busy = false;
  };

  static void* thread_main(void* state);
  int start(Napi::Env env);

  const char* name_;
  std::shared_ptr<State> state_;
  pthread_t thread_{};
};

// A thread with all signals blocked (they are the main thread's) and a small stack. Gives the errno of pthread_create.
int start_thread(pthread_t* thread, const char* name, void* (*entry)(void*), void* argument);

}  // namespace berth::addon
