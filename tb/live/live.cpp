#include "tb/live/live.h"

#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <string_view>
#include <systemc>

#include "tb/live/capture_player.h"
#include "tb/live/live_session.h"
#include "tb/live/slirp_network.h"
#include "tb/live/tap_device.h"
#include "tb/platform/outside_address.h"

namespace understudy::tb {

namespace {

std::unique_ptr<far_end> make_far_end(const scenario& s, const live_options& o) {
  if (o.slirp) return std::make_unique<slirp_network>(outside_of(s), o.forwards);
  if (!o.pcap_in.empty()) return std::make_unique<capture_player>(o.pcap_in);
  return std::make_unique<tap_device>(o.tap, s.live.join);
}

}  // namespace

live_result run_live(const scenario& s, const live_options& o) {
  if (!s.faults.empty())
    throw scenario_error("fault: live mode takes none from a scenario, allowed: --kill-after T");
  const std::unique_ptr<far_end> far = make_far_end(s, o);
  try {
    return live_session(s, o, *far).run();
  } catch (const sc_core::sc_report& r) {
    const bool ours = std::string_view(r.get_msg_type()) == sc_core::SC_ID_SIMULATION_UNCAUGHT_EXCEPTION_;
    throw std::runtime_error((ours ? std::string() : r.get_msg_type() + std::string(": ")) + r.get_msg());
  }
}

wall_nanos parse_wall_time(const std::string& option, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  double scale = 0;
  if (unit.empty() || unit == "s") scale = 1e9;
  if (unit == "ms") scale = 1e6;
  if (unit == "us") scale = 1e3;
  if (unit == "min") scale = 60e9;
  if (unit == "h") scale = 3600e9;
  if (error != std::errc() || scale == 0 || !(value * scale >= 0 && value * scale <= 1e18))
    throw scenario_error(
        fmt::format("{}: \"{}\" is no time, allowed: 2s, 500ms, 1.5 (seconds), 10min, 1h", option, text));
  return static_cast<wall_nanos>(value * scale);
}

}  // namespace understudy::tb
