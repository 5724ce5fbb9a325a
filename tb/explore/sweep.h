// A sweep file: a grid of parameters over one scenario, and which numbers of each result to put in a table.
#pragma once
#include <string>
#include <vector>

#include "tb/scenario/load.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// One parameter and the values that it takes, as text and as --set writes them.
struct sweep_axis {
  std::string key;
  std::vector<std::string> values;
  std::vector<std::string> sets;  // KEY=VALUE
};

// A number of a result: the sum of some of its entries, per another, times a factor.
struct sweep_column {
  std::string name;
  std::vector<std::string> sum;  // dotted paths in result.json, such as "announce.bursts"
  std::string per;               // dotted path; empty: 1
  double scale = 1;
  bool less = false;  // followed by how much less than the reference's it is, in percent
};

struct sweep_plan {
  std::string path;
  std::string scenario_path;
  std::vector<std::string> sets;     // of every cell
  std::vector<sweep_axis> axes;      // the last one varies fastest
  std::vector<std::string> against;  // KEY=VALUE: with these in place of its own, a cell is its reference
  std::vector<sweep_column> columns;

  std::size_t cells() const;
  // Values of cell `i`, by axis.
  std::vector<std::string> values_of(std::size_t i) const;
  // What cell `i` sets; `reference`: what the cell sets that it is compared with.
  std::vector<std::string> sets_of(std::size_t i, bool reference = false) const;
};

// Throws scenario_error, one line, for whatever is wrong with the file, its scenario, or any cell.
sweep_plan load_sweep(const std::string& path, const load_checks& checks);

}  // namespace understudy::tb
