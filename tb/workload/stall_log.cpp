#include "tb/workload/stall_log.h"

namespace understudy::tb {

stall_log::stall_log(std::size_t connections) : last_(connections * 2, never) {}

void stall_log::mark() {
  marks_.push_back({last_, std::vector<picos>(last_.size(), never)});
}

std::vector<picos> stall_log::stalls(std::size_t m) const {
  const around& a = marks_.at(m);
  std::vector<picos> r;
  for (std::size_t i = 0; i < a.before.size(); ++i)
    if (a.before[i] != never && a.after[i] != never) r.push_back(a.after[i] - a.before[i]);
  return r;
}

void stall_log::on_delivered(const replay_end& e, flow_direction d, std::uint64_t, picos now) {
  const std::size_t i = e.connection() * std::size_t{2} + index_of(d);
  last_.at(i) = now;
  for (around& a : marks_)
    if (a.after[i] == never) a.after[i] = now;
}

void stall_log::on_finished(const replay_end&, picos) {}

}  // namespace understudy::tb
