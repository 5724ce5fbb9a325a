#include "tb/report/result.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace understudy::tb {
namespace {

using json = nlohmann::ordered_json;

json instant(const std::optional<picos>& t) {
  return t ? json(*t) : json(nullptr);
}

json single_dma_json(const single_dma_row& r) {
  return {{"bytes", r.bytes},
          {"layout", r.gathered ? "gather" : "single"},
          {"packets", r.packets},
          {"operations", r.operations},
          {"maps", r.maps},
          {"unmaps", r.unmaps},
          {"tlps", r.tlps},
          {"tlps_analytic", r.tlps_analytic},
          {"link_bytes", r.link_bytes},
          {"link_bytes_analytic", r.link_bytes_analytic},
          {"latency_ps", r.latency},
          {"latency_analytic_ps", r.latency_analytic},
          {"packets_per_s", r.packets_per_s},
          {"packets_per_s_analytic", r.packets_per_s_analytic},
          {"iommu_maps", r.iommu_maps},
          {"iommu_unmaps", r.iommu_unmaps}};
}

json queue_wait_json(const queue_wait_row& r) {
  return {{"queues", r.queues},
          {"backlog", r.backlog},
          {"samples", r.samples},
          {"wait_ps", {{"p50", r.p50}, {"p99", r.p99}, {"max", r.max}}}};
}

json raw_frames_json(const raw_frame_counts& r) {
  return {{"single", r.single},
          {"gathered", r.gathered},
          {"sent", r.sent},
          {"failed", r.failed},
          {"descriptors", r.descriptors},
          {"copied_bytes", r.copied_bytes},
          {"maps", r.maps},
          {"unmaps", r.unmaps},
          {"no_headroom", r.no_headroom},
          {"other_interface", r.other_interface},
          {"pool_empty", r.pool_empty}};
}

json failover_json(const failover_result& f) {
  return {{"kind", f.kind},
          {"from", f.from},
          {"to", f.to},
          {"fault_ps", instant(f.fault)},
          {"detect_ps", instant(f.detect)},
          {"fence_ps", instant(f.fence)},
          {"block_ps", instant(f.block)},
          {"drain_ps", instant(f.drain)},
          {"rebuild_ps", instant(f.rebuild)},
          {"load_ps", instant(f.load)},
          {"identity_ps", instant(f.identity)},
          {"unblock_ps", instant(f.unblock)},
          {"blackout_ps", instant(f.blackout)},
          {"connections", f.connections},
          {"retransmitted_bytes", f.retransmitted_bytes},
          {"peer_timeouts", f.peer_timeouts.all()},
          {"peer_timeout_causes",
           {{"old_adapter", f.peer_timeouts.old_adapter},
            {"wire", f.peer_timeouts.wire},
            {"hold", f.peer_timeouts.hold},
            {"window", f.peer_timeouts.window},
            {"unexplained", f.peer_timeouts.unexplained}}},
          {"stall_ps", {{"p50", f.stall.p50}, {"p99", f.stall.p99}, {"max", f.stall.max}}}};
}

json monitor_json(const monitor_result& m) {
  return {{"id", m.id},
          {"armed", m.armed},
          {"checked", m.checked},
          {"violations", m.violations},
          {"first", m.first},
          {"event", m.violations ? json(m.event) : json(nullptr)},
          {"at_ps", m.violations ? json(m.at) : json(nullptr)},
          {"witness", m.witness},
          {"before", m.before}};
}

json fault_json(const fault_result& f) {
  return {{"id", f.id},
          {"kind", f.kind},
          {"target", f.target},
          {"activated", f.activated},
          {"at_ps", instant(f.at)},
          {"outcome", f.outcome}};
}

json group_json(const memory_group_counts& g) {
  return {{"match", g.match},
          {"bytes", g.bytes},
          {"total", g.total},
          {"free", g.free},
          {"posted", g.posted},
          {"filled", g.filled},
          {"most_in_use", g.most_in_use},
          {"exhausted", g.exhausted},
          {"borrowed", g.borrowed},
          {"limit", g.limit},
          {"limit_changes", g.limit_changes}};
}

template <typename T>
json list(const std::vector<T>& items, json (*convert)(const T&)) {
  json out = json::array();
  for (const auto& i : items) out.push_back(convert(i));
  return out;
}

}  // namespace

std::string to_json(const run_result& r) {
  json parameters = json::object();
  for (const auto& [k, v] : r.parameters) parameters[k] = v;
  json rtl = json::object();
  for (const rtl_block& x : r.rtl) rtl[x.name] = {{"cycles", x.cycles}};
  const auto& c = r.connections;
  const auto& b = r.bytes;
  const auto& h = r.host_interface;
  const auto& e = r.dma;
  const auto& a = r.announce;
  const auto& p = r.pcie;
  const auto& m = r.memory;
  const auto& t = r.table;
  const auto& w = r.wire;
  const auto& d = r.dropped_frames;
  const json j = {
      {"schema", 1},
      {"status", r.held() ? "held" : "failed"},
      {"reasons", r.reasons},
      {"stopped", r.stopped},
      {"scenario", r.scenario},
      {"seed", r.seed},
      {"revision", r.revision},
      {"versions",
       {{"systemc", r.versions.systemc}, {"verilator", r.versions.verilator}, {"lwip", r.versions.lwip}}},
      {"trace_hash", fmt::format("{:016x}", r.trace_hash)},
      {"events", r.events},
      {"sim_time_ps", r.sim_time},
      {"wall_s", r.wall_s},
      {"frames", r.frames},
      {"frames_per_wall_s", r.frames_per_wall_s()},
      {"peers", r.peers},
      {"connections",
       {{"opened", c.opened},
        {"completed", c.completed},
        {"refused", c.refused},
        {"aborted", c.aborted},
        {"reset", c.reset},
        {"reopened", c.reopened},
        {"unprotected_lost", c.unprotected_lost}}},
      {"bytes",
       {{"expected", b.expected},
        {"delivered", b.delivered},
        {"lost", b.lost},
        {"duplicated", b.duplicated},
        {"corrupted", b.corrupted}}},
      {"delivered_ps", {{"first", instant(r.first_delivery)}, {"last", instant(r.last_delivery)}}},
      {"wire",
       {{"sent", w.sent},
        {"lost", w.lost},
        {"duplicated", w.duplicated},
        {"corrupted", w.corrupted},
        {"overtaken", w.overtaken}}},
      {"failovers", list(r.failovers, failover_json)},
      {"ack_latency_ps",
       {{"segments", r.ack_latency.segments}, {"p50", r.ack_latency.p50}, {"p99", r.ack_latency.p99}}},
      {"announce",
       {{"connections", a.connections},
        {"bursts", a.bursts},
        {"interrupts", a.interrupts},
        {"doorbells", a.doorbells},
        {"commit_writes", a.commit_writes},
        {"collapsed", a.collapsed},
        {"held", a.held},
        {"cookies_sent", a.cookies_sent},
        {"cookies_taken", a.cookies_taken},
        {"refused_syns", a.refused_syns},
        {"latency_ps", {{"p50", a.latency.p50}, {"p99", a.latency.p99}, {"max", a.latency.max}}}}},
      {"table",
       {{"lookups", t.lookups},
        {"hits", t.hits},
        {"strangers", t.strangers},
        {"mistaken", t.mistaken},
        {"evictions", t.evictions},
        {"scrubs", t.scrubs},
        {"corrected", t.corrected},
        {"dropped", t.dropped},
        {"waited_ps", t.waited}}},
      {"rtl", rtl},
      {"timers", {{"served", r.timers.served}, {"late_ps", r.timers.late}}},
      {"path_mtu", {{"reduced", r.path_mtu.reduced}, {"ignored", r.path_mtu.ignored}}},
      {"dropped_frames",
       {{"length", d.length},
        {"header", d.header},
        {"ip_checksum", d.ip_checksum},
        {"l4_checksum", d.l4_checksum},
        {"fragment", d.fragment},
        {"unknown", d.unknown},
        {"not_ours", d.not_ours},
        {"overflow", d.overflow},
        {"blocked", d.blocked}}},
      {"memory",
       {{"copied_bytes", m.copied_bytes},
        {"fallbacks", m.fallbacks},
        {"waits", m.waits},
        {"groups", list(m.groups, group_json)},
        {"holds", m.holds},
        {"merged", m.merged},
        {"expedited", m.expedited},
        {"delivery_latency_ps", {{"p50", m.delivery.p50}, {"p99", m.delivery.p99}}},
        {"commit_latency_ps", {{"p50", m.commit.p50}, {"p99", m.commit.p99}}}}},
      {"single_dma", list(r.single_dma, single_dma_json)},
      {"queue_waits", list(r.queue_waits, queue_wait_json)},
      {"raw_frames", raw_frames_json(r.raw_frames)},
      {"host_interface",
       {{"doorbells", h.doorbells},
        {"bad_doorbells", h.bad_doorbells},
        {"lost_doorbells", h.lost_doorbells},
        {"mmio_reads", h.mmio_reads},
        {"interrupts", h.interrupts},
        {"dma_operations", h.dma_operations},
        {"dma_bytes", h.dma_bytes},
        {"tlps", h.tlps},
        {"descriptors", h.descriptors},
        {"records", h.records}}},
      {"dma",
       {{"requests", e.requests},
        {"refused", e.refused},
        {"failed", e.failed},
        {"timeouts", e.timeouts},
        {"unexpected", e.unexpected},
        {"read_bytes", e.read_bytes},
        {"read_bytes_done", e.read_bytes_done},
        {"read_bytes_failed", e.read_bytes_failed},
        {"read_bytes_aborted", e.read_bytes_aborted},
        {"write_bytes", e.write_bytes},
        {"write_bytes_aborted", e.write_bytes_aborted}}},
      {"pcie",
       {{"tlps_up", p.tlps_up},
        {"tlps_down", p.tlps_down},
        {"bytes_up", p.bytes_up},
        {"bytes_down", p.bytes_down},
        {"dllps", p.dllps},
        {"lcrc_errors", p.lcrc_errors},
        {"bad_dllps", p.bad_dllps},
        {"replayed_bytes", p.replayed_bytes},
        {"replay_timeouts", p.replay_timeouts},
        {"replay_stalls", p.replay_stalls},
        {"retrains", p.retrains},
        {"credit_stalls", p.credit_stalls},
        {"credit_stall_ps", p.credit_stall_time},
        {"host_stalls", p.host_stalls},
        {"overtakings", p.overtakings},
        {"poisoned", p.poisoned},
        {"poisoned_writes", p.poisoned_writes},
        {"contained", p.contained},
        {"aborted", p.aborted},
        {"timeouts", p.timeouts},
        {"dropped", p.dropped},
        {"unsupported", p.unsupported},
        {"host_unsupported", p.host_unsupported},
        {"err_cor", p.err_cor},
        {"err_nonfatal", p.err_nonfatal},
        {"err_fatal", p.err_fatal},
        {"iommu",
         {{"hits", p.iommu_hits},
          {"misses", p.iommu_misses},
          {"maps", p.iommu_maps},
          {"unmaps", p.iommu_unmaps},
          {"refused", p.iommu_refused},
          {"revoked", p.iommu_revoked}}},
        {"cache",
         {{"device_lines", p.device_lines},
          {"core_lines", p.core_lines},
          {"memory_lines", p.memory_lines}}}}},
      {"monitors", list(r.monitors, monitor_json)},
      {"faults", list(r.faults, fault_json)},
      {"marks", r.marks},
      {"parameters", parameters},
      {"files", r.files}};
  // A byte that is no UTF-8 (a path may hold one) is replaced rather than thrown at the user.
  return j.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace understudy::tb
