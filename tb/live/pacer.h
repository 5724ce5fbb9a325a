// Keeps simulated time and the wall clock together.
#pragma once
#include <cstdint>

#include "model/core/units.h"

namespace understudy::tb {

using wall_nanos = std::int64_t;

// Simulated time runs at `factor` times the wall clock. Where the model cannot keep up, time itself is
// slowed: the schedule is put off by what is missing, so that no event is ever late, and the sum is kept.
class pacer {
 public:
  // A model that is behind by less than `tolerance` of simulated time may still catch up.
  pacer(double factor, picos tolerance) : factor_(factor), tolerance_(tolerance) {}

  void start(wall_nanos wall, picos sim) {
    wall_ = wall;
    sim_ = sim;
    put_off_ = 0;
  }
  // Where simulated time should be.
  picos target(wall_nanos wall) const {
    return wall <= wall_ ? sim_
                         : sim_ + static_cast<picos>(static_cast<double>(wall - wall_) * 1e3 * factor_);
  }
  // When simulated time should be there.
  wall_nanos wall_of(picos sim) const {
    return sim <= sim_ ? wall_
                       : wall_ + static_cast<wall_nanos>(static_cast<double>(sim - sim_) / 1e3 / factor_);
  }
  // Everything before `sim` has been simulated by `wall`.
  void reached(wall_nanos wall, picos sim) {
    const picos wanted = target(wall);
    if (wanted <= sim + tolerance_) return;
    put_off_ += wall - wall_of(sim);
    wall_ = wall;
    sim_ = sim;
  }
  // By how much the wall clock has gone ahead for good.
  wall_nanos put_off() const { return put_off_; }

 private:
  double factor_;
  picos tolerance_;
  wall_nanos wall_ = 0;
  picos sim_ = 0;
  wall_nanos put_off_ = 0;
};

}  // namespace understudy::tb
