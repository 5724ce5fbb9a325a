// What every invariant monitor has in common: an id, counts, and the first violation with its witness and the
// events that led to it.
#pragma once
#include <cstdint>
#include <string>

#include "model/core/units.h"
#include "tb/monitors/event_history.h"
#include "tb/report/result.h"

namespace understudy::tb {

// A monitor judges, it never acts. It is armed once it had something to judge.
class monitor {
 public:
  monitor(const char* id, const event_history& history) : history_(history) { result_.id = id; }
  // One judgement that came out well.
  void checked(std::uint64_t n = 1) {
    result_.checked += n;
    result_.armed = true;
  }
  // One judgement that did not: at event number `event`, instant `at`. `witness` says which bytes,
  // connection, address.
  [[gnu::cold]] void violated(std::uint64_t event, picos at, const std::string& witness);
  const monitor_result& result() const { return result_; }

 private:
  const event_history& history_;
  monitor_result result_;
};

}  // namespace understudy::tb
