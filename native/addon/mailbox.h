// The way home from one of our threads to JavaScript.
//
//     JavaScript thread                      our thread
//       expect() ── job queued elsewhere ──▶   job.run()
//       job.settle() ◀──── post(job) ────────
//
// While answers are expected the event loop stays alive; otherwise an idle addon never keeps the process running.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>
#include <mutex>

#include "addon/describe.h"
#include "addon/failure.h"

namespace berth::addon {

// One request of JavaScript: made and settled on its thread, run on ours without touching it.
class Job {
 public:
  virtual ~Job() = default;
  virtual void run() = 0;
  virtual void settle(Napi::Env env) = 0;
  virtual Napi::Promise promise() const = 0;
};

class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  static std::shared_ptr<Mailbox> open(Napi::Env env, const char* name);

  // JavaScript thread: one more answer is on its way.
  void expect(Napi::Env env);
  // Any thread. After the environment is gone the job is dropped.
  void post(std::unique_ptr<Job> job);

 private:
  static void deliver(napi_env env, napi_value, void* context, void* data);
  static void on_environment_end(void* self);

  std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;
  bool closed_ = false;
  size_t expected_ = 0;
  // Keeps us alive until the environment ends, whose hooks hold a bare pointer.
  std::shared_ptr<Mailbox> self_;
};

// A job from two lambdas: `work` gives a Result<T> on our thread, `convert` makes the JavaScript value of a T.
template <class Work, class Convert>
class LambdaJob final : public Job {
 public:
  using Outcome = decltype(std::declval<Work>()());

  LambdaJob(Napi::Env env, Work work, Convert convert)
      : deferred_(env), work_(std::move(work)), convert_(std::move(convert)) {}

  void run() override { outcome_.emplace(work_()); }
  void settle(Napi::Env env) override {
    if (*outcome_) {
      deferred_.Resolve(convert_(env, **outcome_));
    } else {
      deferred_.Reject(describe(env, outcome_->failure()).Value());
    }
  }
  Napi::Promise promise() const override { return deferred_.Promise(); }

 private:
  Napi::Promise::Deferred deferred_;
  Work work_;
  Convert convert_;
  std::optional<Outcome> outcome_;
};

template <class Work, class Convert>
std::unique_ptr<Job> make_job(Napi::Env env, Work work, Convert convert) {
  return std::make_unique<LambdaJob<Work, Convert>>(env, std::move(work), std::move(convert));
}

inline Napi::Value to_undefined(Napi::Env env, Nothing&) {
  return env.Undefined();
}

}  // namespace berth::addon
