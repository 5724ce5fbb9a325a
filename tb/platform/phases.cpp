#include "tb/platform/phases.h"

#include <algorithm>

namespace understudy::tb {

phases::phases(platform& p, connections& c, std::uint32_t count, std::uint32_t& open, picos stagger,
               std::function<void(std::uint32_t)> at_rest)
    : platform_(p),
      connections_(c),
      count_(count),
      open_(open),
      stagger_(stagger),
      at_rest_(std::move(at_rest)) {
  p.log.subscribe(this, {event_kind::frame_in, event_kind::frame_out});
}

void phases::start() {
  open_ = 0;
  if (!looking_) agenda_.in(look_every, [this] { look(); });
  looking_ = true;
}

void phases::on_event(const event& e) {
  last_frame_ = e.at;
}

// The shortest questions first: it is asked very often, and long before it is so.
bool phases::resting() const {
  if (now_ps() - last_frame_ < quiet) return false;
  const host::recovery_state r = platform_.main.driver->state();
  if (r != host::recovery_state::active && r != host::recovery_state::running) return false;
  if (!platform_.main.driver->all_acknowledged()) return false;
  for (std::size_t i = connections_.round_begin(); i < connections_.round_end(); ++i) {
    if (connections_.flow_of(i).open_phase > open_) continue;
    // An end that has not heard of its connection yet, while the other has, will by what that says next.
    const auto opened = [](const auto& e) { return e->now_in() != replay_end::state::unopened; };
    const bool begun = std::ranges::any_of(connections_.ends(i), opened);
    for (const auto& e : connections_.ends(i))
      if (!e->settled(open_) && (opened(e) || !begun)) return false;
  }
  return true;
}

void phases::look() {
  if (resting()) {
    if (connections_.round_begin() == 0) at_rest_(open_);
    if (open_ + 1 == count_) {
      looking_ = false;
      return;
    }
    connections_.open_phase(++open_, stagger_);
  }
  agenda_.in(look_every, [this] { look(); });
}

}  // namespace understudy::tb
