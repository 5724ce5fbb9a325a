// Several faults in one injection, at drawn distances: bounded, so that everything must go on within a
// deadline (liveness mode), or until no adapter is left, so that only safety can be judged (safety mode).
#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "model/core/rng.h"
#include "model/core/units.h"
#include "model/sim/agenda.h"

namespace understudy::tb {

class simulation;

struct train_options {
  std::uint64_t faults = 2;        // 0: until no adapter is left
  std::vector<std::string> kinds;  // of fault_kinds(), drawn with equal shares
  picos gap = 1_ms;                // between two faults: 0.5 to 1.5 of it, drawn
  picos deadline = 20_s;           // simulated time after the last fault at which it is judged
  bool unlimited() const { return faults == 0; }
};

class fault_train {
 public:
  // Made during elaboration; does nothing until started.
  fault_train(simulation& s, const train_options& o) : simulation_(s), options_(o) {}
  // Strike the active adapter now, then drawn ones; the draws belong to `seed` and event `k`. `due` is called
  // at the deadline behind the last fault.
  void start(std::uint64_t seed, std::uint64_t k, std::function<void()> due);

  std::uint64_t strikes() const { return struck_.size(); }
  // Every fault has struck, and the adapter that serves is one that none of them struck.
  bool over() const;

 private:
  void strike(unsigned adapter);
  void next();

  simulation& simulation_;
  const train_options& options_;
  rng dice_;
  agenda agenda_;
  std::set<unsigned> struck_;
  std::function<void()> due_;
};

}  // namespace understudy::tb
