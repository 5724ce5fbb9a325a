#include "tb/live/live_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "tb/scenario/quantity.h"

namespace understudy::tb {

namespace {

double milliseconds(picos t) {
  return static_cast<double>(t) / 1e9;
}

std::string since(const std::optional<picos>& t, const std::optional<picos>& fault) {
  return t && fault ? fmt::format("{:.2f}", milliseconds(*t - *fault)) : std::string("-");
}

std::string failover_line(const failover_result& f) {
  return fmt::format(
      "failover     {} -> {} at {:.3f} s; ms after it: detect {} fence {} rebuild {} unblock {}; {} "
      "connections, "
      "stall p50 {:.1f} max {:.1f}\n",
      f.from, f.to.empty() ? "-" : f.to, f.fault ? milliseconds(*f.fault) / 1e3 : 0.0,
      since(f.detect, f.fault), since(f.fence, f.fault), since(f.rebuild, f.fault), since(f.unblock, f.fault),
      f.connections, milliseconds(f.stall.p50), milliseconds(f.stall.max));
}

}  // namespace

std::string live_json(const live_result& r) {
  auto j = nlohmann::ordered_json::parse(to_json(r.run));
  j["live"] = {{"network", r.network},
               {"address", r.address},
               {"factor", r.factor},
               {"ready_s", r.ready_s},
               {"cpu_s", r.cpu_s},
               {"put_off_s", r.put_off_s},
               {"frames_in", r.wire.frames_in},
               {"reads", r.wire.reads},
               {"frames_out", r.wire.frames_out},
               {"writes", r.wire.writes},
               {"frame_bytes_in", r.wire.bytes_in},
               {"frame_bytes_out", r.wire.bytes_out},
               {"refused_in", r.wire.refused_in},
               {"refused_out", r.wire.refused_out},
               {"while_down", r.wire.while_down},
               {"http_requests", r.requests},
               {"http_errors", r.http_errors},
               {"bytes_received", r.bytes_received},
               {"bytes_sent", r.bytes_sent},
               {"driver_connections", r.driver_connections},
               {"adapter_connections", r.adapter_connections},
               {"open_at_end", r.open_at_end}};
  auto& fetches = j["live"]["fetches"] = nlohmann::ordered_json::array();
  for (const live_fetch& f : r.fetches)
    fetches.push_back({{"url", f.what.url},
                       {"status", f.what.status},
                       {"bytes", f.what.bytes},
                       {"sha256", f.sha256},
                       {"file", f.what.file},
                       {"error", f.what.error}});
  return j.dump(2) + "\n";
}

std::string live_summary(const live_result& r, const scenario& s, const std::string& out_dir) {
  const run_result& u = r.run;
  std::string t = fmt::format("scenario     {}, seed {}\n", u.scenario, u.seed);
  t += fmt::format("network      {} behind {} adapters; {}\n", r.address, s.topology.adapters, r.network);
  t += fmt::format(
      "time         {:.2f} s since ready, {:.2f} s of processor; factor {:g}, put off by {:.3f} s\n",
      r.ready_s, r.cpu_s, r.factor, r.put_off_s);
  for (const failover_result& f : u.failovers) t += failover_line(f);
  t += fmt::format(
      "frames       {} in ({} B) by {} reads, {} out ({} B) by {} writes, refused {} in, {} out\n",
      r.wire.frames_in, r.wire.bytes_in, r.wire.reads, r.wire.frames_out, r.wire.bytes_out, r.wire.writes,
      r.wire.refused_in, r.wire.refused_out);
  t += fmt::format("applications {} B received, {} B sent; {} HTTP requests, {} refused\n", r.bytes_received,
                   r.bytes_sent, r.requests, r.http_errors);
  for (const live_fetch& f : r.fetches)
    t += fmt::format("fetched      {}: {}, {} B{}{}\n", f.what.url, f.what.status, f.what.bytes,
                     f.what.error.empty() ? "" : ", ", f.what.error);
  if (r.wire.while_down) t += fmt::format("device       was down for {} frames\n", r.wire.while_down);
  const connection_counts& c = u.connections;
  t += fmt::format(
      "connections  accepted {}, closed {}, reset by the peer {}, aborted {}, open at the end {}\n", c.opened,
      c.completed, c.reset, c.aborted, r.open_at_end);
  std::uint64_t armed = 0, checked = 0, violations = 0;
  for (const monitor_result& m : u.monitors) {
    armed += m.armed;
    checked += m.checked;
    violations += m.violations;
  }
  t += fmt::format("monitors     {} armed of {}, {} checks, {} violations\n", armed, u.monitors.size(),
                   checked, violations);
  if (!u.marks.empty()) t += fmt::format("mind         {}\n", fmt::join(u.marks, "; "));
  t += fmt::format("files        {}: {}\n", out_dir, fmt::join(u.files, " "));
  t += u.held() ? "HELD: every failover ended, no invariant was broken; the bytes are the peer's to judge\n"
                : fmt::format("FAILED: {}\n", fmt::join(u.reasons, "; "));
  return t;
}

}  // namespace understudy::tb
