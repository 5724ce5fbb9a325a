// Results of a campaign in SQLite: written as they come, resumed, merged. The tables and what their columns
// mean stand in docs/campaigns.md.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace understudy::tb {

// Outcome codes; what they mean stands in docs/campaigns.md.
enum class outcome : std::uint8_t {
  n0_not_activated,
  n1_model_error,
  n2_inconclusive,
  m0_masked,
  r2_recovered,
  a1_aborted,
  h1_hang,
  p1_violation,
  s1_stream
};
const char* code(outcome o);

// One injection. Durations are simulated time from the first fault.
struct injection_result {
  std::uint64_t k = 0;  // the fault strikes behind this event
  std::uint64_t param =
      0;  // double failure: event of the recovery; torn write: TLPs of it that landed; else 0
  outcome what = outcome::n0_not_activated;
  bool allowed = false;
  bool to_end = false;                          // ran to the end of the workload
  bool rest_equal = false;                      // its state at a rest equalled the golden run's
  std::uint64_t trigger_ps = 0;                 // instant of the first fault
  std::uint64_t n_faults = 0;                   // that struck
  std::optional<std::uint64_t> detect_ps;       // the driver declared the adapter failed
  std::optional<std::uint64_t> recovered_ps;    // the substitute receives
  std::uint64_t bytes_lost = 0, bytes_dup = 0;  // at the applications
  std::uint64_t bytes_resent = 0;               // by lwIP peers, since the first fault
  std::uint64_t conns_hit = 0;                  // alive when the failure was detected
  std::optional<std::uint64_t> converged_at;    // event of the rest that equalled the golden run's
  std::uint64_t end_event = 0, end_hash = 0;
  std::uint32_t wall_us = 0;
  std::uint32_t worker = 0;  // which of the campaign's processes, from 0
  std::uint32_t rc = 0;      // exit status; 128 + the signal that ended it
  std::string invariant;     // first monitor that fired
  std::string why;           // first reason, empty if all held
};

struct campaign_identity {
  std::string name;  // plan's path
  std::string mode;
  std::string revision;  // of the source
  std::string config;    // SHA-256 over plan, scenario and parameters
  std::string toolchain;
  std::uint64_t seed = 0;
  std::string scenario;
  std::string model;      // fault class of its injections
  std::string site_path;  // where they strike, and what kind of thing that is (faults.md)
  std::string site_kind;
  std::uint64_t first_event = 0, golden_events = 0;
  std::uint64_t golden_hash = 0, state_hash = 0;
  std::uint64_t golden_ps = 0;
  double golden_wall_s = 0;
};

// Id of an injection: fi1- and 16 hex digits of a hash over what it is. The same injection has the same id
// everywhere.
std::string injection_id(const campaign_identity& c, std::uint64_t k, std::uint64_t param);

struct store_totals {
  std::uint64_t injections = 0, not_allowed = 0, inconclusive = 0;
  std::uint64_t tail_checks = 0, tail_mismatches = 0;  // of those that ran on behind a rest that was equal
  std::uint64_t control_forks = 0, control_mismatches = 0;
  std::map<std::string, std::uint64_t> outcomes;
};

// Every failure of the file or the disk is a std::runtime_error that names the path.
class result_store {
 public:
  // Opens or makes the database. One of another schema, revision or configuration is refused
  // (std::runtime_error).
  result_store(const std::string& path, const campaign_identity& c);
  ~result_store();
  result_store(const result_store&) = delete;
  result_store& operator=(const result_store&) = delete;

  // Injections that have a verdict, as (k, param); inconclusive ones are to be made again.
  std::set<std::pair<std::uint64_t, std::uint64_t>> done() const;
  // Events at which a control fork was made.
  std::set<std::uint64_t> controlled() const;
  // Durable with the next commit(), which the caller makes now and then. A second result of an injection
  // takes the place of the first.
  void add(const injection_result& r);
  void add_control(std::uint64_t k, bool equal);
  void commit();
  store_totals totals() const;
  // `limit` of the injections that are not allowed or inconclusive, a line each, beginning with the id.
  std::vector<std::string> failures(std::size_t limit) const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

// Copies every injection of `from` into `to` (made if it is not there); those that `to` has already stay as
// they are. Returns how many were new.
std::uint64_t merge_stores(const std::string& to, const std::vector<std::string>& from);

// What replay needs to know of an injection.
struct stored_injection {
  std::string scenario;
  std::string plan;
  std::string mode;
  std::uint64_t k = 0, param = 0;
  std::string outcome;
  std::string why;
  std::string revision;
};
stored_injection find_injection(const std::string& database, const std::string& id);

struct artifact {
  std::string kind;  // "capture", "timeline", "waves", "result", "summary", "events"
  std::string path;
};
// Files that a replay of `id` wrote, with their SHA-256; those of an earlier replay are forgotten.
void store_artifacts(const std::string& database, const std::string& id, const std::vector<artifact>& files);

}  // namespace understudy::tb
