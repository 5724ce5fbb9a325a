// Which congestion control an adapter uses.
#pragma once
#include <cstdint>

namespace understudy {

enum class congestion_kind : std::uint8_t { newreno, cubic };

}  // namespace understudy
