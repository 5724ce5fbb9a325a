// Runs the cells of a sweep, each in a process of its own, and makes a table of them.
#pragma once
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tb/explore/sweep.h"

namespace understudy::tb {

struct explore_options {
  unsigned jobs = 1;
  // One cell: the JSON form of its result. Called in a process of its own. Throws.
  std::function<std::string(const scenario&)> run;
  std::function<void(std::size_t done, std::size_t of)> progress;  // may be empty
  const std::atomic<bool>* stop = nullptr;                         // may be null
  load_checks checks;
};

struct explored_cell {
  std::vector<std::string> values;             // by axis
  std::vector<std::optional<double>> numbers;  // by column; none: the result has no such entry
  std::vector<std::optional<double>> less;     // by column: percent less than the reference's
  std::string status;                          // "held", "failed", or "not run" after a stop
  std::string reason;                          // the first; empty if it held
};

struct explored {
  std::vector<explored_cell> cells;
  bool stopped = false;
  bool held() const;
};

explored run_sweep(const sweep_plan& p, const explore_options& o);

std::string explored_table(const sweep_plan& p, const explored& r);
std::string explored_csv(const sweep_plan& p, const explored& r);
std::string explored_json(const sweep_plan& p, const explored& r);

}  // namespace understudy::tb
