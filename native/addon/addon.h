// What one JavaScript environment has of the addon, and the functions it sees, by concern.
#pragma once

#include <napi.h>

#include "addon/wait_thread.h"
#include "addon/worker.h"

namespace berth::addon {

// Raised when a function's meaning or arguments change; src/linux/load.ts refuses another one.
inline constexpr int abi_version = 8;

struct Addon {
  Worker net{"berth-net"};
  Worker cg{"berth-cg"};
  // libseccomp takes seconds for a long profile.
  Worker seccomp{"berth-seccomp"};
  // syncfs and umount may take seconds on a busy disk: not behind or before a control group.
  Worker disk{"berth-disk"};
  // The small files of pods and containers, which lie on the node's disk: it may be slow, control groups are not.
  Worker files{"berth-files"};
  // Walks through trees, for the size of writable layers: minutes, at the lowest priority.
  Worker usage{"berth-usage"};
  WaitThread wait;
};

inline Addon& addon_of(Napi::Env env) {
  return *env.GetInstanceData<Addon>();
}

void add_descriptors(Napi::Env env, Napi::Object exports);
void add_sockets(Napi::Env env, Napi::Object exports);
void add_processes(Napi::Env env, Napi::Object exports);
void add_files(Napi::Env env, Napi::Object exports);
void add_network(Napi::Env env, Napi::Object exports);
void add_machine(Napi::Env env, Napi::Object exports);
void add_usage(Napi::Env env, Napi::Object exports);

}  // namespace berth::addon
