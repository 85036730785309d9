#pragma once

namespace berth {

// Leaves the calling process nothing but what pause does: wait, say one word and close its last descriptor.
bool confine_pause();

}  // namespace berth
