#include "addon/worker.h"

#include <pthread.h>
#include <signal.h>

namespace berth::addon {

int start_thread(pthread_t* thread, const char* name, void* (*entry)(void*), void* argument) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 512 * 1024);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(thread, &attributes, entry, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0) (void)pthread_setname_np(*thread, name);
  return error;
}

int Worker::start(Napi::Env env) {
  auto state = std::make_shared<State>();
  state->mailbox = Mailbox::open(env, name_);
  if (!state->mailbox) return ENOMEM;
  auto* shared = new std::shared_ptr<State>(state);
  const int error = start_thread(&thread_, name_, thread_main, shared);
  if (error != 0) {
    delete shared;
    return error;
  }
  state_ = std::move(state);
  return 0;
}

Napi::Value Worker::run(Napi::Env env, std::unique_ptr<Job> job) {
  Napi::Promise promise = job->promise();
  if (!state_) {
    const int error = start(env);
    if (error != 0) return raise(env, fail_with(error, "pthread_create", name_));
  }
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->queue.size() >= queue_limit) {
      return raise(env, fail_with(EAGAIN, "queue", name_, std::to_string(queue_limit) + " jobs wait already"));
    }
    state_->queue.push_back(std::move(job));
  }
  state_->mailbox->expect(env);
  state_->work.notify_one();
  return promise;
}

void* Worker::thread_main(void* data) {
  const std::unique_ptr<std::shared_ptr<State>> shared(static_cast<std::shared_ptr<State>*>(data));
  State& state = **shared;
  std::unique_lock lock(state.mutex);
  for (;;) {
    state.work.wait(lock, [&] { return state.stopping || !state.queue.empty(); });
    if (state.stopping) return nullptr;
    std::unique_ptr<Job> job = std::move(state.queue.front());
    state.queue.pop_front();
    state.busy = true;
    lock.unlock();
    job->run();
    state.mailbox->post(std::move(job));
    lock.lock();
    state.busy = false;
  }
}

Worker::~Worker() {
  if (!state_) return;
  bool busy = false;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->queue.clear();
    busy = state_->busy;
  }
  state_->work.notify_one();
  // A thread that sits in a system call may sit there for ever (a dead disk): the process must still be able to end.
  if (busy) {
    pthread_detach(thread_);
  } else {
    pthread_join(thread_, nullptr);
  }
}

}  // namespace berth::addon
