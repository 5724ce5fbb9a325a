#include "tb/monitors/monitor.h"

#include <fmt/format.h>

namespace understudy::tb {

void monitor::violated(std::uint64_t event, picos at, const std::string& witness) {
  ++result_.checked;
  result_.armed = true;
  if (result_.violations++) return;
  result_.first = fmt::format("event {}, {:.6f} us: {}", event, static_cast<double>(at) / 1e6, witness);
  result_.event = event;
  result_.at = at;
  result_.witness = witness;
  result_.before = history_.lines();
}

}  // namespace understudy::tb
