// Results of a campaign in SQLite: written as they come, resumed, merged.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
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

// One injection. `j` is 0 but for the second fault of a double failure.
struct injection_result {
  std::uint64_t k = 0;
  std::uint64_t j = 0;
  outcome what = outcome::n0_not_activated;
  bool allowed = false;
  bool to_end = false;             // ran to the end of the workload
  bool rest_equal = false;         // its state at a rest equalled the golden run's
  std::uint64_t recovered_ps = 0;  // from the fault to reception by the substitute
  std::uint64_t end_event = 0;
  std::uint32_t wall_us = 0;
  std::string why;  // first reason, empty if all held
};

struct campaign_identity {
  std::string name;  // plan's path
  std::string mode;
  std::string revision;  // of the source
  std::string config;    // hash over plan, scenario and parameters
  std::uint64_t seed = 0;
  std::string scenario;
  std::uint64_t golden_events = 0;
  std::uint64_t golden_hash = 0;
};

// Id of an injection: fi1- and 16 hex digits of a hash over what it is. The same injection has the same id
// everywhere.
std::string injection_id(const campaign_identity& c, std::uint64_t k, std::uint64_t j);

// Every failure of the file or the disk is a std::runtime_error that names the path.
class result_store {
 public:
  // Opens or makes the database. One of another schema, revision or configuration is refused
  // (std::runtime_error).
  result_store(const std::string& path, const campaign_identity& c);
  ~result_store();
  result_store(const result_store&) = delete;
  result_store& operator=(const result_store&) = delete;

  // Injections that are there already, as (k, j).
  std::set<std::pair<std::uint64_t, std::uint64_t>> done() const;
  // Durable with the next commit(), which the caller makes now and then.
  void add(const injection_result& r);
  void commit();
  std::map<std::string, std::uint64_t> outcomes() const;
  std::uint64_t not_allowed() const;

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
  std::uint64_t k = 0, j = 0;
  std::string outcome;
  std::string why;
  std::string revision;
};
stored_injection find_injection(const std::string& database, const std::string& id);

}  // namespace understudy::tb
