// How long a received segment takes to find its connection: the on-chip store, and behind it the whole table
// in the adapter's memory.
#pragma once
#include <cstdint>
#include <memory>

#include "model/core/units.h"
#include "model/cosim/connection_table_unit.h"

namespace understudy {

struct lookup_config {
  std::uint32_t sets = 1024;  // of the store; a power of two up to 2^20. In RTL: 1024
  std::uint32_t ways = 4;     // 1 to 8. In RTL: 4
  bool rtl = false;           // the Verilated store instead of its C++ twin
  picos clock_period = 2500_ps;
  picos miss = 150_ns;  // from the miss to the connection's state: a random read of DDR4 behind an FPGA's
                        // controller
  picos access = 5_ns;  // between two such reads: one channel with 16 banks and a row cycle of 46 ns, not all
                        // of them busy
  picos scrub = 1_s;    // in which every set is scrubbed once; 0: none is
};

struct lookup_counters {
  std::uint64_t lookups = 0;
  std::uint64_t hits = 0;
  std::uint64_t strangers = 0;  // misses of segments whose connection is not in the table either
  std::uint64_t mistaken = 0;   // hits of another connection, as the whole tuple shows; they count as misses
  std::uint64_t evictions = 0;  // connections that left the store for another
  std::uint64_t scrubs = 0;     // sets
  std::uint64_t corrected = 0;  // words with one wrong bit
  std::uint64_t dropped = 0;    // words with more: their connections are fetched again
  picos waited = 0;             // of all segments together, for memory and for the store's port
};

class connection_lookup {
 public:
  static constexpr std::uint32_t unknown = 0xffffffff;

  // Throws std::invalid_argument if the RTL does not exist in that geometry.
  explicit connection_lookup(const lookup_config& config);

  // A segment asks at `now`, which never goes back. `key`: keyed hash of its tuple; `index`: of its
  // connection in the table, or `unknown`. The instant at which the connection's state, or the news that
  // there is none, is at the engine: `now` for a hit, whose cycles are part of the pipeline, while the port
  // is free. What was not in the store is in it from now on.
  picos look_up(picos now, std::uint64_t key, std::uint32_t index);
  // The connection has ended.
  void forget(picos now, std::uint64_t key);
  // A fault: in each word of the set of `key` the same `bits` (1 or 2) bits change.
  void upset(std::uint64_t key, unsigned bits);
  // As after power-up; counters stay.
  void reset();

  const lookup_counters& counters() const { return counters_; }
  // Evaluated of the Verilated store, power-up included; 0 without.
  std::uint64_t rtl_cycles() const { return store_->cycles(); }

 private:
  store_answer run(picos now, const store_request& r);
  void scrub_until(picos now);

  lookup_config config_;
  std::unique_ptr<connection_table_unit> store_;
  lookup_counters counters_;
  picos port_free_ = 0;
  picos memory_free_ = 0;
  std::uint64_t scrubbed_ = 0;  // sets that were due so far
};

}  // namespace understudy
