#include "addon/wait_thread.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include <cstdint>

#include "addon/worker.h"

namespace berth::addon {
namespace {

struct Exit {
  int code;
  int signal;
};

Result<Exit> reap(int pidfd) {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) < 0) {
    if (errno != EINTR) return fail("waitid");
  }
  if (info.si_code == CLD_EXITED) return Exit{info.si_status, 0};
  return Exit{-1, info.si_status};
}

Napi::Value exit_value(Napi::Env env, const Exit& exit) {
  Napi::Object value = Napi::Object::New(env);
  if (exit.signal != 0) {
    value.Set("signal", Napi::Number::New(env, exit.signal));
  } else {
    value.Set("code", Napi::Number::New(env, exit.code));
  }
  return value;
}

}  // namespace

int WaitThread::start(Napi::Env env) {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  stop_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !stop_) return errno;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = stop_.get();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &event) < 0) return errno;
  mailbox_ = Mailbox::open(env, "berth-wait");
  if (!mailbox_) return ENOMEM;
  const int error = start_thread(&thread_, "berth-wait", thread_main, this);
  if (error != 0) mailbox_.reset();
  return error;
}

Napi::Value WaitThread::wait(Napi::Env env, int pidfd) {
  if (!mailbox_) {
    const int error = start(env);
    if (error != 0) return raise(env, fail_with(error, "start thread", "berth-wait"));
  }
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= limit) return raise(env, fail_with(EAGAIN, "wait", "", "too many processes are waited for"));
  Fd own(fcntl(pidfd, F_DUPFD_CLOEXEC, 0));
  if (!own) return raise(env, fail("fcntl"));
  const int fd = own.get();
  auto job = make_job(
      env, [fd] { return reap(fd); }, exit_value);
  Napi::Promise promise = job->promise();
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return raise(env, fail("epoll_ctl"));
  waiting_.emplace(own.release(), std::move(job));
  mailbox_->expect(env);
  return promise;
}

void* WaitThread::thread_main(void* self) {
  static_cast<WaitThread*>(self)->loop();
  return nullptr;
}

void WaitThread::loop() {
  for (;;) {
    epoll_event events[32];
    const int count = epoll_wait(epoll_.get(), events, 32, -1);
    for (int i = 0; i < count; ++i) {
      const Fd fd(events[i].data.fd == stop_.get() ? -1 : events[i].data.fd);
      if (!fd) return;
      std::unique_ptr<Job> job;
      {
        const std::lock_guard lock(mutex_);
        const auto found = waiting_.find(fd.get());
        if (found == waiting_.end()) continue;
        job = std::move(found->second);
        waiting_.erase(found);
      }
      job->run();
      mailbox_->post(std::move(job));
    }
  }
}

WaitThread::~WaitThread() {
  if (!mailbox_) return;
  const uint64_t one = 1;
  (void)!write(stop_.get(), &one, sizeof one);
  pthread_join(thread_, nullptr);
  for (const auto& entry : waiting_) close(entry.first);
}

}  // namespace berth::addon
