#pragma once

#include <string_view>

#include "shim/connection.h"

namespace berth {

void resize_tty(Shim& shim, CallRef call, std::string_view body);

}  // namespace berth
