#include "tb/monitors/monitor.h"

#include <fmt/format.h>

namespace understudy::tb {

void monitor::violated(std::uint64_t event, picos at, const std::string& witness) {
  ++result_.checked;
  result_.armed = true;
  if (result_.violations++ == 0)
    result_.first = fmt::format("event {}, {:.6f} us: {}", event, static_cast<double>(at) / 1e6, witness);
}

}  // namespace understudy::tb
