// What the executable supplies in place of liblwip's own clock and sequence numbers: defined here, sys_now()
// and tcp_next_iss() win over those of the shared library.
#pragma once
#include <cstdint>
#include <optional>

#include "model/core/rng.h"

namespace understudy::tb {

// Where initial sequence numbers come from: the fixed value if there is one, else the stream.
struct lwip_iss_source {
  std::optional<std::uint32_t> fixed;
  rng stream;
};
lwip_iss_source& lwip_iss();

}  // namespace understudy::tb
