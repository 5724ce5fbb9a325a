// What the commit rule costs: ACK latency and throughput with the rule on and off, for each proof, protected
// and not. docs/failover.md shows the table that this prints.
#include <cstdio>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

struct cost {
  double p50_ns = 0, p99_ns = 0, gbps = 0;
  std::uint64_t records = 0;
};

// One peer sends 8 MiB, each segment acknowledged by itself.
cost cost_of(const char* name, const std::vector<std::string>& settings, int status = 0) {
  std::vector<std::string> all{"peer=twin", "workload.direction=down", R"(workload.bytes="8 MiB")",
                               "adapter.ack_every=1", "workload.connections=4"};
  all.insert(all.end(), settings.begin(), settings.end());
  const program_run r = run_program(scenario_file("hello.toml"), all);
  EXPECT_EQ(r.status, status) << name << ": " << r.reasons();
  const auto& a = r.result["ack_latency_ps"];
  EXPECT_GT(a["segments"], 1000) << name;
  cost c;
  c.p50_ns = a["p50"].get<double>() / 1e3;
  c.p99_ns = a["p99"].get<double>() / 1e3;
  c.gbps = r.result["bytes"]["delivered"].get<double>() * 8e3 / r.result["sim_time_ps"].get<double>();
  c.records = r.result["host_interface"]["records"];
  std::printf("| %-34s | %8.0f | %8.0f | %5.2f |\n", name, c.p50_ns, c.p99_ns, c.gbps);
  return c;
}

TEST(commit_cost, is_about_one_read_round_trip_an_ack_and_no_throughput) {
  std::printf("| %-34s | %8s | %8s | %5s |\n", "", "p50 ns", "p99 ns", "Gb/s");
  const cost flush = cost_of("flush_read", {"commit.proof=flush_read"});
  const cost host = cost_of("host_ack", {"commit.proof=host_ack"});
  const cost trusted = cost_of("trusted_delay, 2 us", {"commit.proof=trusted_delay"});
  const cost unprotected = cost_of("unprotected connections", {"workload.unprotected=4"});
  const cost off = cost_of("rule off", {"commit.rule=false"}, 1);  // I-RX-1 says so

  EXPECT_GT(flush.p50_ns, unprotected.p50_ns + 500) << "a DMA read takes 500 ns and more";
  EXPECT_LT(flush.p50_ns, unprotected.p50_ns + 3000);
  EXPECT_GT(host.p50_ns, flush.p50_ns) << "the host's interrupt is in the way";
  EXPECT_GT(trusted.p50_ns, unprotected.p50_ns + 1900);
  EXPECT_NEAR(off.p50_ns, unprotected.p50_ns, 100);
  for (const cost* c : {&flush, &trusted}) EXPECT_GT(c->gbps, 0.95 * unprotected.gbps);
}

}  // namespace
}  // namespace understudy::tb
