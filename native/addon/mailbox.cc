#include "addon/mailbox.h"

namespace berth::addon {

std::shared_ptr<Mailbox> Mailbox::open(Napi::Env env, const char* name) {
  auto mailbox = std::make_shared<Mailbox>();
  const Napi::String resource = Napi::String::New(env, name);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, resource, 0, 1, nullptr, nullptr, mailbox.get(), deliver,
                                      &mailbox->function_) != napi_ok) {
    return nullptr;
  }
  (void)napi_unref_threadsafe_function(env, mailbox->function_);
  // Hooks run newest first: ours comes before the function's own, so that no thread ever calls a function that is gone.
  (void)napi_add_env_cleanup_hook(env, on_environment_end, mailbox.get());
  mailbox->self_ = mailbox;
  return mailbox;
}

void Mailbox::expect(Napi::Env env) {
  if (++expected_ == 1) (void)napi_ref_threadsafe_function(env, function_);
}

void Mailbox::post(std::unique_ptr<Job> job) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  if (napi_call_threadsafe_function(function_, job.get(), napi_tsfn_nonblocking) == napi_ok) (void)job.release();
}

void Mailbox::deliver(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (env == nullptr) return;
  auto* self = static_cast<Mailbox*>(context);
  if (--self->expected_ == 0) (void)napi_unref_threadsafe_function(env, self->function_);
  const Napi::HandleScope scope(env);
  job->settle(env);
}

void Mailbox::on_environment_end(void* data) {
  const std::shared_ptr<Mailbox> self = std::move(static_cast<Mailbox*>(data)->self_);
  const std::lock_guard lock(self->mutex_);
  self->closed_ = true;
}

}  // namespace berth::addon
