#include "tb/report/result.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tb/report/origin.h"

namespace understudy::tb {
namespace {

using nlohmann::json;

std::set<std::string> keys(const json& j) {
  std::set<std::string> k;
  for (const auto& [key, value] : j.items()) k.insert(key);
  return k;
}

using words = std::set<std::string>;

run_result full_result() {
  run_result r;
  failover_result f;
  f.from = std::string("A");
  f.to = std::string("B");
  f.fault = 5_ms;
  f.blackout = 300_us;
  r.failovers.push_back(f);
  r.monitors.push_back({"I-RX-1", true, 12, 0, ""});
  r.faults.push_back({1, "kill", "A", true, 5_ms, "recovered"});
  r.peers = {"lwip", "twin"};
  return r;
}

TEST(result_json, has_every_key_of_the_schema) {
  const json j = json::parse(to_json(full_result()));
  const words top = keys(j);
  for (const char* k :
       {"schema",   "status",         "reasons",     "scenario",   "seed",           "revision",
        "versions", "trace_hash",     "sim_time_ps", "wall_s",     "frames",         "frames_per_wall_s",
        "peers",    "connections",    "bytes",       "failovers",  "host_interface", "monitors",
        "faults",   "ack_latency_ps", "announce",    "pcie",       "memory",         "delivered_ps",
        "table",    "timers",         "rtl",         "single_dma", "raw_frames",     "path_mtu",
        "wire",     "dropped_frames", "dma"})
    EXPECT_TRUE(top.count(k)) << k;
  EXPECT_EQ(j["schema"], 1);
  EXPECT_EQ(keys(j["versions"]), (words{"systemc", "verilator", "lwip"}));
  EXPECT_EQ(keys(j["connections"]),
            (words{"opened", "completed", "refused", "aborted", "reset", "reopened", "unprotected_lost"}));
  EXPECT_EQ(keys(j["bytes"]), (words{"expected", "delivered", "lost", "duplicated", "corrupted"}));
  EXPECT_EQ(keys(j["wire"]), (words{"sent", "lost", "duplicated", "corrupted", "overtaken"}));
  EXPECT_EQ(keys(j["dropped_frames"]), (words{"length", "header", "ip_checksum", "l4_checksum", "fragment",
                                              "unknown", "not_ours", "overflow", "blocked"}));
  EXPECT_EQ(keys(j["announce"]),
            (words{"connections", "bursts", "interrupts", "doorbells", "commit_writes", "collapsed", "held",
                   "cookies_sent", "cookies_taken", "refused_syns", "latency_ps"}));
  EXPECT_EQ(keys(j["host_interface"]),
            (words{"doorbells", "lost_doorbells", "bad_doorbells", "mmio_reads", "interrupts",
                   "dma_operations", "dma_bytes", "tlps", "descriptors", "records"}));
  EXPECT_EQ(keys(j["dma"]),
            (words{"requests", "refused", "failed", "timeouts", "unexpected", "read_bytes", "read_bytes_done",
                   "read_bytes_failed", "read_bytes_aborted", "write_bytes", "write_bytes_aborted"}));
  EXPECT_EQ(keys(j["pcie"]["cache"]), (words{"device_lines", "core_lines", "memory_lines"}));
  EXPECT_EQ(keys(j["failovers"][0]),
            (words{"kind", "from", "to", "fault_ps", "detect_ps", "fence_ps", "block_ps", "drain_ps",
                   "rebuild_ps", "load_ps", "identity_ps", "unblock_ps", "blackout_ps", "connections",
                   "retransmitted_bytes", "peer_timeouts", "peer_timeout_causes", "stall_ps"}));
  EXPECT_EQ(keys(j["failovers"][0]["stall_ps"]), (words{"p50", "p99", "max"}));
  for (const char* k : {"id", "armed", "checked", "violations"})
    EXPECT_TRUE(j["monitors"][0].contains(k)) << k;
  for (const char* k : {"id", "kind", "activated", "outcome"}) EXPECT_TRUE(j["faults"][0].contains(k)) << k;
}

TEST(result_json, has_empty_lists_rather_than_none) {
  const json j = json::parse(to_json(run_result{}));
  for (const char* k : {"reasons", "peers", "failovers", "monitors", "faults"}) {
    EXPECT_TRUE(j[k].is_array()) << k;
    EXPECT_TRUE(j[k].empty()) << k;
  }
}

TEST(result_json, says_held_only_without_reasons) {
  run_result r;
  EXPECT_EQ(json::parse(to_json(r))["status"], "held");
  r.reasons.push_back("3 bytes lost");
  EXPECT_EQ(json::parse(to_json(r))["status"], "failed");
  EXPECT_EQ(json::parse(to_json(r))["reasons"][0], "3 bytes lost");
  r.reasons.clear();
  r.stopped = true;
  EXPECT_EQ(json::parse(to_json(r))["status"], "failed");
}

TEST(result_json, keeps_instants_exact_and_unreached_steps_null) {
  run_result r = full_result();
  r.sim_time = 1'234'567'890'123'456'789u;
  r.trace_hash = 0xfedcba9876543210u;
  r.wall_s = 2;
  r.frames = 10;
  const json j = json::parse(to_json(r));
  EXPECT_EQ(j["sim_time_ps"].get<std::uint64_t>(), r.sim_time);
  EXPECT_EQ(j["trace_hash"], "fedcba9876543210");
  EXPECT_EQ(j["frames_per_wall_s"], 5.0);
  EXPECT_EQ(j["failovers"][0]["fault_ps"].get<std::uint64_t>(), 5_ms);
  EXPECT_TRUE(j["failovers"][0]["unblock_ps"].is_null());
}

TEST(result_json, survives_text_that_is_no_utf8) {
  run_result r;
  r.scenario = "caf\xe9.toml";
  EXPECT_FALSE(json::parse(to_json(r)).is_discarded());
}

TEST(result_origin, names_scenario_seed_and_versions) {
  scenario s;
  s.path = "x.toml";
  s.seed = 9;
  s.peer = "twin";
  s.monitors = "off";
  run_result r;
  add_origin(r, s);
  EXPECT_EQ(r.scenario, "x.toml");
  EXPECT_EQ(r.seed, 9u);
  EXPECT_FALSE(r.revision.empty());
  EXPECT_EQ(r.versions.systemc.substr(0, 2), "2.");
  EXPECT_NE(r.versions.lwip.find('.'), std::string::npos);
  EXPECT_EQ(r.marks.size(), 1u);
  ASSERT_EQ(r.parameters.size(), 3u);
  EXPECT_EQ(r.parameters[1], std::pair(std::string("peer"), std::string("\"twin\"")));
}

}  // namespace
}  // namespace understudy::tb
