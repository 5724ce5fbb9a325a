// What a person reads about parameters and scenarios.
#pragma once
#include <string>
#include <vector>

#include "tb/scenario/scenario.h"

namespace understudy::tb {

// Every parameter with type, default, range and sentence, and the keys of [[fault]], as Markdown:
// docs/parameters.md.
std::string describe_parameters();

// One line each: adapters, connections and their peers; wire and bus; what is said.
std::string describe_topology(const scenario& s);
std::string describe_workload(const scenario& s);
// "kill active at 50 % of the bytes"; empty: no fault.
std::string describe_faults(const scenario& s);

// What a reader must know before trusting a figure of this scenario: monitors off, mutants, a bent commit
// rule.
std::vector<std::string> marks_of(const scenario& s);

}  // namespace understudy::tb
