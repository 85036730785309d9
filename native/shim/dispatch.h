#pragma once

#include <string_view>

namespace berth {

struct Shim;
struct Connection;

// One request: to the function that carries it out, which answers now or later.
void dispatch(Shim& shim, Connection& connection, std::string_view payload);

}  // namespace berth
