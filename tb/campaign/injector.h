// Runs a scenario once and forks an injection off it at each wanted event: no prefix is simulated twice.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "tb/campaign/golden.h"
#include "tb/campaign/store.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// A point at which to fork, after event k.
struct injection_point {
  std::uint64_t k = 0;
  bool control = false;  // fork without a fault: must end as the golden run did
  bool to_end = false;   // do not stop at a rest
};

struct injector_options {
  unsigned jobs = 1;                 // processes at a time
  std::uint32_t guard_seconds = 30;  // wall-clock limit of one injection
  std::uint64_t second_stride =
      0;  // above 0: kill the substitute too, after every so many events of the recovery
  std::function<bool(std::uint64_t k, std::uint64_t j)>
      skip;  // second faults that are not wanted; may be empty
};

// What came back: an injection, or a control fork.
struct injector_message {
  injection_result result;
  bool control = false;
  bool control_equal = false;
  bool tail_mismatch = false;  // ran to the end, and the end contradicts its rest
};

// `points` in ascending order. `told` is called for each message as it comes. Ends early when `stop` is set.
void inject(const scenario& s, const golden_run& golden, const std::vector<injection_point>& points,
            const injector_options& options, const std::function<void(const injector_message&)>& told,
            const std::atomic<bool>* stop);

}  // namespace understudy::tb
