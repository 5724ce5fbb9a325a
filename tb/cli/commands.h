// The sub-commands behind run_cli(). Each returns an exit status and throws scenario_error or
// std::runtime_error.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tb/cli/cli.h"

namespace understudy::tb {

// What every sub-command takes.
struct common_arguments {
  std::string out;  // empty: not given
  bool json = false;
  int verbosity = 0;
};

struct run_arguments {
  common_arguments common;
  std::string scenario;
  std::vector<std::string> sets;
  std::optional<std::uint64_t> seed;
  bool captures = true;
  bool bus_captures = false;
  bool waves = false;
  bool timeline = false;
};

struct campaign_arguments {
  common_arguments common;
  std::string plan;
  unsigned jobs = 1;
  std::string shard;  // "I/N"; empty: all
};
struct merge_arguments {
  common_arguments common;
  std::string into;
  std::vector<std::string> from;
};
struct replay_arguments {
  common_arguments common;
  std::string id;
  std::string database;  // empty: the newest results.sqlite under --out or ./results
};

struct explore_arguments {
  common_arguments common;
  std::string sweep;
  unsigned jobs = 1;
};

struct live_arguments {
  common_arguments common;
  std::string scenario;
  std::vector<std::string> sets;
  std::string tap;  // or
  bool slirp = false;
  std::vector<std::string> hostfwd;  // or
  std::string pcap_in;
  double factor = 1;
  std::string duration;  // empty: until told to stop
  std::vector<std::string> kill_after;
  bool captures = false;
};

struct pcie_bench_arguments {
  common_arguments common;
  bool ideal = false;
  std::optional<std::string> generation, lanes, mps, mrrs, rcb;  // numbers as typed
  bool chop = false;                        // completions end at every read completion boundary
  std::string device;                       // name or file; empty: not given
  std::string host;                         // scenario file with pcie.*; empty: not given
  std::string iommu;                        // "off", "4k", "2m"; empty: as `host` says
  std::vector<std::string> windows, sizes;  // lists of bytes as typed: "64,128"; empty: the data set's
};
struct calibrate_arguments {
  common_arguments common;
  std::string latency;
  std::string output;
  std::string device = "nfp6000";
};

int run_command(const run_arguments& a, const cli_environment& env);
// `topic` is one of describe_topics. With --out the text goes to a file there instead.
int describe_command(const std::string& topic, const common_arguments& a, const cli_environment& env);
int version_command(const common_arguments& a, const cli_environment& env);

inline constexpr const char* describe_topics[] = {"params", "registers", "faults", "monitors",
                                                  "connection_state"};

}  // namespace understudy::tb
