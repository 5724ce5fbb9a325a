#include "tb/platform/fault_schedule.h"

namespace understudy::tb {

fault_schedule::fault_schedule(const scenario& s, std::uint64_t expected, strike f)
    : scenario_(s), expected_(expected), strike_(std::move(f)) {
  fired_.resize(s.faults.size());
  for (std::size_t i = 0; i < s.faults.size(); ++i) {
    fault_result r;
    r.id = i + 1;
    r.kind = s.faults[i].kind;
    r.target = s.faults[i].target;
    results_.push_back(r);
    if (s.faults[i].when == fault_spec::trigger::at_time) agenda_.at(s.faults[i].at, [this, i] { fire(i); });
    any_at_event_ = any_at_event_ || s.faults[i].when == fault_spec::trigger::at_event;
  }
}

void fault_schedule::fire(std::size_t i) {
  fault_result& r = results_[i];
  if (fired_[i]) return;
  fired_[i] = true;
  r.at = now_ps();
  r.target = strike_(scenario_.faults[i]);
  r.activated = r.target != "none";
}

void fault_schedule::on_event(const event& e) {
  for (std::size_t i = 0; i < scenario_.faults.size(); ++i) {
    const fault_spec& f = scenario_.faults[i];
    if (f.when == fault_spec::trigger::at_event && f.at_event == e.number) fire(i);
  }
}

void fault_schedule::on_delivered(const replay_end&, flow_direction, std::uint64_t bytes, picos) {
  delivered_ += bytes;
  for (std::size_t i = 0; i < scenario_.faults.size(); ++i) {
    const fault_spec& f = scenario_.faults[i];
    if (f.when == fault_spec::trigger::at_fraction && !fired_[i] &&
        static_cast<double>(delivered_) >= f.at_fraction * static_cast<double>(expected_))
      agenda_.in(0, [this, i] { fire(i); });
  }
}

}  // namespace understudy::tb
