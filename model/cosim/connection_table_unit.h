// The on-chip connection store behind one interface: the C++ twin, or the Verilated RTL
// (rtl/connection_table.sv).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "model/core/connection_store.h"

namespace understudy {

class connection_table_unit {
 public:
  virtual ~connection_table_unit() = default;
  // One operation; both implementations give the same answer for every sequence of them.
  virtual store_answer run(const store_request& r) = 0;
  // Clock cycles evaluated by Verilator since construction, power-up included; 0 of the twin.
  virtual std::uint64_t cycles() const = 0;
};

std::unique_ptr<connection_table_unit> make_connection_table_twin(std::uint32_t sets, std::uint32_t ways);
// The RTL exists as 1024 sets of 4 ways and as 4 sets of 2 ways; another geometry throws
// std::invalid_argument, which says so.
std::unique_ptr<connection_table_unit> make_connection_table_rtl(std::uint32_t sets, std::uint32_t ways);

struct connection_table_mismatch {
  std::string field;  // of store_answer, the first that differs
  store_answer rtl;
  store_answer twin;
  std::string text;  // one line with all of it
};

// The request through both units; what differs first, or nothing.
std::optional<connection_table_mismatch> compare_connection_table(const store_request& r,
                                                                  connection_table_unit& rtl,
                                                                  connection_table_unit& twin);

}  // namespace understudy
