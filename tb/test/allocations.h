// How often the program has called operator new: linking understudy_allocations
// replaces the global operators.
#pragma once
#include <cstdint>

namespace understudy::tb {
extern std::uint64_t allocations;
}
