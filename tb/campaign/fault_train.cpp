#include "tb/campaign/fault_train.h"

#include "tb/platform/configure.h"
#include "tb/platform/simulation.h"

namespace understudy::tb {

void fault_train::start(std::uint64_t seed, std::uint64_t k, std::function<void()> due) {
  dice_ = rng(seed, "campaign/train/" + std::to_string(k));
  due_ = std::move(due);
  strike(simulation_.parts().main.driver->active_adapter());
}

void fault_train::strike(unsigned adapter) {
  const auto adapters = static_cast<unsigned>(simulation_.parts().main.slots.size());
  if (adapter < adapters) {
    fault_spec f;
    f.kind = options_.kinds[dice_.below(options_.kinds.size())];
    f.target = adapter_name(adapter);
    simulation_.strike(f);
    struck_.insert(adapter);
  }
  const bool last =
      struck_.size() == adapters || (!options_.unlimited() && struck_.size() >= options_.faults);
  if (last) {
    agenda_.in(options_.deadline, [this] { due_(); });
  } else {
    const picos pause = options_.gap / 2 + dice_.below(options_.gap + 1);
    agenda_.in(pause, [this] { next(); });
  }
}

// One of those that no fault has struck.
void fault_train::next() {
  std::vector<unsigned> left;
  for (unsigned i = 0; i < simulation_.parts().main.slots.size(); ++i)
    if (!struck_.contains(i)) left.push_back(i);
  strike(left[dice_.below(left.size())]);
}

bool fault_train::over() const {
  const auto& driver = *simulation_.parts().main.driver;
  return struck_.size() >= options_.faults && !options_.unlimited() && simulation_.failovers().settled() &&
         driver.active_adapter() != host::any_driver::no_adapter &&
         !struck_.contains(driver.active_adapter());
}

}  // namespace understudy::tb
