// A run's result as one screen of text.
#pragma once
#include <string>

#include "tb/report/result.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

inline constexpr std::size_t summary_lines = 24;
inline constexpr std::size_t summary_columns = 100;

// At most summary_lines lines of at most summary_columns columns, each with a newline. `color`: with ANSI
// colours, for a terminal. `out_dir` is what the reader is told about files; empty: none were written.
std::string summary_text(const run_result& r, const scenario& s, const std::string& out_dir, bool color);

// Of each monitor that fired, its first violation: event, instant, witness, and the events that led to it.
// Empty: none fired.
std::string violations_text(const run_result& r);

}  // namespace understudy::tb
