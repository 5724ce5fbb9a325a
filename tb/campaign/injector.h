// Runs a scenario once and forks an injection off it at each wanted event: no prefix is simulated twice.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tb/campaign/fault_train.h"
#include "tb/campaign/golden.h"
#include "tb/campaign/store.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// A point at which to fork, after event k.
struct injection_point {
  std::uint64_t k = 0;
  std::uint64_t param = 0;  // of the result: what the fault is beside its event
  bool control = false;     // fork without a fault: must end as the golden run did
  bool to_end = false;      // do not stop at a rest
};

struct injector_options {
  unsigned jobs = 1;          // processes at a time
  double guard_seconds = 30;  // wall-clock limit of one injection
  std::uint64_t second_stride =
      0;  // above 0: kill the substitute too, after every so many events of the recovery
  std::function<bool(std::uint64_t k, std::uint64_t j)>
      skip;                            // second faults that are not wanted; may be empty
  std::optional<train_options> train;  // more faults behind the first
};

// What came back: an injection, or a control fork.
struct injector_message {
  injection_result result;
  bool control = false;
  bool control_equal = false;
};

// `points` in ascending order. `told` is called for each message as it comes; what it throws ends the
// injections and comes through. Ends early when `stop` is set, with what is under way.
void inject(const scenario& s, const golden_run& golden, const std::vector<injection_point>& points,
            const injector_options& options, const std::function<void(const injector_message&)>& told,
            const std::atomic<bool>* stop);

}  // namespace understudy::tb
