#include "tb/report/summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "tb/scenario/describe.h"
#include "tb/scenario/quantity.h"

namespace understudy::tb {
namespace {

constexpr const char* green = "\x1b[32m";
constexpr const char* red = "\x1b[31m";
constexpr const char* plain = "\x1b[0m";
constexpr std::size_t failovers_shown = 2;

double microseconds(picos t) {
  return static_cast<double>(t) / 1e6;
}

// "detect 305.2": a step's time since the fault.
std::string step(const char* name, const std::optional<picos>& t, const std::optional<picos>& fault) {
  if (!t || !fault || *t < *fault) return fmt::format("{} -", name);
  return fmt::format("{} {:.1f}", name, microseconds(*t - *fault));
}

std::string labelled(const char* label, const std::string& text) {
  return fmt::format("{:<13}{}", label, text);
}

void add_failover(const failover_result& f, std::vector<std::string>& lines) {
  const auto& z = f.fault;
  lines.push_back(labelled("failover", fmt::format("{}, {} -> {}, fault at {:.1f} us; us after it:", f.kind,
                                                   f.from, f.to, z ? microseconds(*z) : 0.0)));
  lines.push_back(labelled(
      "", fmt::format("{} | {} | {} | {} | {}", step("detect", f.detect, z), step("fence", f.fence, z),
                      step("block", f.block, z), step("drain", f.drain, z), step("rebuild", f.rebuild, z))));
  lines.push_back(labelled(
      "", fmt::format("{} | {} | {} | blackout {}", step("load", f.load, z), step("identity", f.identity, z),
                      step("unblock", f.unblock, z),
                      f.blackout ? fmt::format("{:.1f}", microseconds(*f.blackout)) : std::string("-"))));
  lines.push_back(labelled(
      "", fmt::format("{} connections; stall us p50 {:.1f} p99 {:.1f} max {:.1f}; {} B resent; {} time-outs",
                      f.connections, microseconds(f.stall.p50), microseconds(f.stall.p99),
                      microseconds(f.stall.max), f.retransmitted_bytes, f.peer_timeouts.all())));
}

// Two layouts of a size in each line.
void add_single_dma(const run_result& r, std::vector<std::string>& lines) {
  const std::vector<single_dma_row>& rows = r.single_dma;
  if (rows.empty()) return;
  lines.push_back(labelled("single DMA", "one DMA / gathered, of a packet; [by the formulas]"));
  for (std::size_t i = 0; i + 1 < rows.size(); i += 2) {
    const single_dma_row &a = rows[i], &b = rows[i + 1];
    const double gain = static_cast<double>(b.latency) - static_cast<double>(a.latency);
    const double formula = static_cast<double>(b.latency_analytic) - static_cast<double>(a.latency_analytic);
    lines.push_back(labelled(
        "", fmt::format("{} B: {:.2f}/{:.2f} ops, {:g}/{:g} maps, {:g}/{:g} unmaps, {}/{} TLPs [{}/{}]",
                        a.bytes, a.operations, b.operations, a.maps, b.maps, a.unmaps, b.unmaps, a.tlps,
                        b.tlps, a.tlps_analytic, b.tlps_analytic)));
    lines.push_back(labelled(
        "",
        fmt::format("  {}/{} B on the link [{}/{}], {:.3f}/{:.3f} M packets/s [{:.3f}/{:.3f}]", a.link_bytes,
                    b.link_bytes, a.link_bytes_analytic, b.link_bytes_analytic, a.packets_per_s / 1e6,
                    b.packets_per_s / 1e6, a.packets_per_s_analytic / 1e6, b.packets_per_s_analytic / 1e6)));
    lines.push_back(
        labelled("", fmt::format("  {:.1f}/{:.1f} ns [{:.1f}/{:.1f}], gain {:.1f} ns [{:.1f}]",
                                 static_cast<double>(a.latency) / 1e3, static_cast<double>(b.latency) / 1e3,
                                 static_cast<double>(a.latency_analytic) / 1e3,
                                 static_cast<double>(b.latency_analytic) / 1e3, gain / 1e3, formula / 1e3)));
  }
  const raw_frame_counts& f = r.raw_frames;
  lines.push_back(labelled(
      "", fmt::format("fallbacks: header too long {}, other interface {}, pool empty {}; {} frames not sent",
                      f.no_headroom, f.other_interface, f.pool_empty, f.failed)));
}

void add_queue_waits(const run_result& r, std::vector<std::string>& lines) {
  for (const queue_wait_row& q : r.queue_waits)
    lines.push_back(labelled(
        &q == r.queue_waits.data() ? "tx queues" : "",
        fmt::format("64 B behind {} of 9000 B{}: us p50 {:.2f} p99 {:.2f} max {:.2f}", q.backlog,
                    q.queues == 1 ? " in one queue" : fmt::format(", of {} queues its own", q.queues),
                    microseconds(q.p50), microseconds(q.p99), microseconds(q.max))));
}

std::string faults_line(const run_result& r, const scenario& s) {
  std::string t = describe_faults(s);
  if (t.empty()) return "none";
  for (const auto& f : r.faults)
    t += fmt::format("; {}: {}", f.id, f.activated ? f.outcome : "not activated");
  return t;
}

std::string monitors_line(const run_result& r) {
  std::uint64_t armed = 0, checked = 0, violations = 0;
  for (const auto& m : r.monitors) {
    armed += m.armed;
    checked += m.checked;
    violations += m.violations;
  }
  return fmt::format("{} armed of {}, {} checks, {} violations", armed, r.monitors.size(), checked,
                     violations);
}

std::string first_violation(const run_result& r) {
  for (const auto& m : r.monitors)
    if (m.violations) return fmt::format("{}: {}", m.id, m.first);
  return {};
}

std::string speed_line(const run_result& r) {
  return fmt::format("{} in {:.2f} s; {} frames, {:.0f} a second; {} events; hash {:016x}",
                     quantity_text(r.sim_time / 1_us * 1_us, quantity::time), r.wall_s, r.frames,
                     r.frames_per_wall_s(), r.events, r.trace_hash);
}

// Told where a scenario asks for any of it.
void add_table(const table_counts& t, std::vector<std::string>& lines) {
  if (!t.lookups) return;
  lines.push_back(labelled(
      "table", fmt::format("{} look-ups, {:.1f} % found on the chip, {} evicted; {:.1f} us waited for memory",
                           t.lookups, 100.0 * static_cast<double>(t.hits) / static_cast<double>(t.lookups),
                           t.evictions, static_cast<double>(t.waited) / 1e6)));
  if (t.corrected + t.dropped)
    lines.push_back(
        labelled("", fmt::format("{} words of the store corrected, {} given up", t.corrected, t.dropped)));
}

void add_memory(const memory_counts& m, const scenario& s, std::vector<std::string>& lines) {
  const memory_parameters& p = s.memory;
  if (p.send != "buffered" || p.receive != "buffered" || p.hold_us)
    lines.push_back(
        labelled("memory", fmt::format("send {}, receive {}; {} bytes copied, {} fallbacks, {} waits", p.send,
                                       p.receive, m.copied_bytes, m.fallbacks, m.waits)));
  if (p.hold_us)
    lines.push_back(labelled("", fmt::format("{} hand-overs, {} merged, {} expedited; p50/p99 us: delivery "
                                             "{:.1f}/{:.1f}, commit {:.1f}/{:.1f}",
                                             m.holds, m.merged, m.expedited, microseconds(m.delivery.p50),
                                             microseconds(m.delivery.p99), microseconds(m.commit.p50),
                                             microseconds(m.commit.p99))));
  for (const memory_group_counts& g : m.groups)
    if (!p.groups.empty())
      lines.push_back(
          labelled(&g == &m.groups.front() ? "groups" : "",
                   fmt::format("{}: {} of {} buffers free, at most {} in use, exhausted {}, borrowed {}",
                               g.match.empty() ? "default" : g.match, g.free, g.total, g.most_in_use,
                               g.exhausted, g.borrowed)));
}

std::string next_step(const run_result& r, const scenario& s) {
  const std::string path = s.path.empty() ? "SCENARIO.toml" : s.path;
  if (r.stopped) return "run it again to the end, or with a smaller --set workload.bytes";
  if (!r.held()) return fmt::format("understudy run {} --seed {} --waves --timeline", path, r.seed);
  if (s.faults.empty() && s.topology.adapters > 1)
    return fmt::format("understudy run {} --set 'fault=[{{kind=\"kill\",at_fraction=0.5}}]'", path);
  if (!s.faults.empty()) return fmt::format("understudy run {} --seed {}", path, r.seed + 1);
  return fmt::format("understudy run {} --set topology.adapters=2, then add a [[fault]]", path);
}

std::string verdict(const run_result& r) {
  if (r.held())
    return fmt::format("HELD: every byte arrived once and in order{}",
                       r.failovers.empty() ? "" : ", no connection noticed the failover");
  std::string t = "FAILED: ";
  if (!r.reasons.empty()) t += r.reasons[0];
  if (r.reasons.size() > 1) t += fmt::format(" (and {} more)", r.reasons.size() - 1);
  if (r.stopped) t += r.reasons.empty() ? "stopped by the user, counts are partial" : "; stopped by the user";
  return t;
}

// Cut to the columns, on a character's border (UTF-8).
std::string fit(std::string line) {
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  std::size_t columns = 0, i = 0, cut = 0;
  for (; i < line.size(); ++i) {
    if ((static_cast<unsigned char>(line[i]) & 0xc0) == 0x80) continue;
    if (columns == summary_columns - 3) cut = i;
    if (++columns > summary_columns) return line.substr(0, cut) + "...";
  }
  return line;
}

}  // namespace

std::string summary_text(const run_result& r, const scenario& s, const std::string& out_dir, bool color) {
  std::vector<std::string> lines;
  lines.push_back(
      labelled("scenario", fmt::format("{}, seed {}", r.scenario.empty() ? "defaults" : r.scenario, r.seed)));
  lines.push_back(labelled("topology", describe_topology(s)));
  lines.push_back(labelled("workload", describe_workload(s)));
  lines.push_back(labelled("peers", fmt::format("{}", fmt::join(r.peers, ", "))));
  lines.push_back(labelled("faults", faults_line(r, s)));
  for (std::size_t i = 0; i < std::min(r.failovers.size(), failovers_shown); ++i)
    add_failover(r.failovers[i], lines);
  if (r.failovers.size() > failovers_shown)
    lines.push_back(labelled("", fmt::format("and {} more failovers", r.failovers.size() - failovers_shown)));
  const auto& b = r.bytes;
  lines.push_back(
      labelled("bytes", fmt::format("expected {}, delivered {}, lost {}, duplicated {}, corrupted {}",
                                    b.expected, b.delivered, b.lost, b.duplicated, b.corrupted)));
  const auto& c = r.connections;
  lines.push_back(
      labelled("connections", fmt::format("opened {}, completed {}, refused {}, aborted {}, reset {}",
                                          c.opened, c.completed, c.refused, c.aborted, c.reset)));
  if (c.reopened)
    lines.push_back(
        labelled("", fmt::format("opened again {} times: the peer had given the handshake up", c.reopened)));
  const auto& h = r.host_interface;
  lines.push_back(
      labelled("host bus",
               fmt::format("{} doorbells, {} interrupts, {} records, {} TLPs, {} DMA operations, {:.1f} MB",
                           h.doorbells, h.interrupts, h.records, h.tlps, h.dma_operations,
                           static_cast<double>(h.dma_bytes) / 1e6)));
  if (const auto& a = r.announce; a.connections)
    lines.push_back(labelled(
        "announced", fmt::format("{} connections in {} bursts, {} interrupts, {} doorbells; {} commit writes",
                                 a.connections, a.bursts, a.interrupts, a.doorbells, a.commit_writes)));
  add_table(r.table, lines);
  add_memory(r.memory, s, lines);
  add_single_dma(r, lines);
  add_queue_waits(r, lines);
  for (const rtl_block& x : r.rtl)
    lines.push_back(
        labelled(&x == r.rtl.data() ? "rtl" : "", fmt::format("{}: {} cycles", x.name, x.cycles)));
  lines.push_back(labelled("monitors", monitors_line(r)));
  const std::string violation = first_violation(r);
  if (!violation.empty()) lines.push_back(labelled("", violation));
  if (!r.marks.empty()) lines.push_back(labelled("mind", fmt::format("{}", fmt::join(r.marks, "; "))));
  lines.push_back(labelled("speed", speed_line(r)));
  if (!out_dir.empty())
    lines.push_back(labelled("files", fmt::format("{}: {}", out_dir, fmt::join(r.files, " "))));
  const std::size_t verdict_at = lines.size();
  lines.push_back(verdict(r));
  lines.push_back(labelled("next", next_step(r, s)));

  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string line = fit(lines[i]);
    out +=
        color && i == verdict_at ? fmt::format("{}{}{}\n", r.held() ? green : red, line, plain) : line + "\n";
  }
  return out;
}

std::string violations_text(const run_result& r) {
  std::string t;
  for (const monitor_result& m : r.monitors) {
    if (m.violations == 0) continue;
    t += fmt::format("{} violated {} times; first at event {}, {:.6f} us\n  witness: {}\n", m.id,
                     m.violations, m.event, microseconds(m.at), m.witness);
    t += fmt::format("  the last {} events up to it:\n", m.before.size());
    for (const std::string& line : m.before) t += "  " + line + "\n";
  }
  return t;
}

}  // namespace understudy::tb
