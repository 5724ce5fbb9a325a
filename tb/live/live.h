// The modelled adapter on a real network: programs reach it, and kill it.
#pragma once
#include <chrono>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "host_sw/apps/http_client.h"
#include "tb/live/far_end.h"
#include "tb/live/pacer.h"
#include "tb/live/slirp_network.h"
#include "tb/report/result.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

struct live_options {
  // The far end: exactly one of these.
  std::string tap;                     // name of a TAP device
  bool slirp = false;                  // libslirp
  std::string pcap_in;                 // a capture that is played
  std::vector<host_forward> forwards;  // with slirp
  double factor = 1;                   // simulated seconds in a second
  wall_nanos duration = 0;             // from ready; 0: until told to stop, or the capture has ended
  std::vector<wall_nanos> kill_after;  // from ready: the adapter that serves then is killed
  std::string out_dir;                 // exists
  bool captures = false;               // of every link
  int verbosity = 0;
  std::ostream* messages = nullptr;  // "ready", kills, failovers, what is slow; lines
};

// What the HTTP client got.
struct live_fetch {
  host::http_fetch what;
  std::string sha256;  // of the body
};

struct live_result {
  run_result run;
  std::vector<live_fetch> fetches;
  std::string network;  // the far end in words
  std::string address;  // of the host behind the adapter
  far_end_counters wire;
  double factor = 1;
  double ready_s = 0;          // wall clock from ready to the end
  double cpu_s = 0;            // processor time of that
  double put_off_s = 0;        // by how much simulated time is behind the wall clock at the end
  std::uint64_t requests = 0;  // HTTP
  std::uint64_t http_errors = 0;
  std::uint64_t bytes_received = 0;  // by applications behind the adapter
  std::uint64_t bytes_sent = 0;
  std::uint64_t driver_connections = 0;  // that driver and adapter still know at the end, TIME_WAIT included
  std::uint64_t adapter_connections = 0;
  std::uint64_t open_at_end = 0;  // connections that the end of the run reset
};

// Once in a process. Throws scenario_error for what the user can put right (device, address, a scenario that
// live mode cannot take), std::runtime_error where the machine fails us.
live_result run_live(const scenario& s, const live_options& o);

// "2s", "500ms", "1.5" (seconds), "1min". Throws scenario_error naming `option`.
wall_nanos parse_wall_time(const std::string& option, const std::string& text);

}  // namespace understudy::tb
