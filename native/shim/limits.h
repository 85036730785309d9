// What one shim holds at most. The numbers fit each other and the descriptors it asks for: see the table in
// native/protocol/README.md.
#pragma once

#include <cstddef>

namespace berth {

constexpr int kMaxContainers = 512;
constexpr int kMaxAttaches = 16;  // of one container

// Execs with streams and attaches together, each with its connection. Probes and berthd's own calls have places that
// streams cannot take.
constexpr int kMaxStreams = 1024;
constexpr int kReservedPlaces = 256;
constexpr int kMaxConnections = kMaxStreams + kReservedPlaces;
constexpr int kMaxExecs = kMaxStreams + kReservedPlaces;  // with those that have left processes behind
// Beyond the connections: served only to be told so.
constexpr int kRefusedConnections = 16;

constexpr size_t kMaxQueuedBytes = 1u << 20;  // of answers that a peer has not read

// A stream holds at most six (connection, process, stdin, stdout, a terminal's master twice), a container five, a probe
// two.
constexpr int kDescriptorsOfStream = 6;
constexpr int kDescriptorsOfContainer = 5;
constexpr int kDescriptorsOfProbe = 2;
constexpr int kOwnDescriptors =
    128;  // with what is on its way: streams that come with a request, a walk through cgroups
constexpr int kDescriptors = 10240;
static_assert(kMaxStreams * kDescriptorsOfStream + kMaxContainers * kDescriptorsOfContainer +
                  kReservedPlaces * kDescriptorsOfProbe + kRefusedConnections + kOwnDescriptors <=
              kDescriptors);

}  // namespace berth
