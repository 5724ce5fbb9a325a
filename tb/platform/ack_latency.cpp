#include "tb/platform/ack_latency.h"

#include "tb/report/percentile.h"

namespace understudy::tb {

ack_latency::ack_latency(event_log& log, segment_reader& segments, unsigned adapters)
    : segments_(segments), waiting_(adapters) {
  log.subscribe(this, {event_kind::frame_in, event_kind::frame_out});
}

void ack_latency::on_event(const event& e) {
  const bool in = e.kind == event_kind::frame_in;
  if (e.unit >= waiting_.size()) return;
  const auto& s = segments_.of(e);
  if (!s) return;
  if (in) {
    if (s->payload_length)
      waiting_[e.unit].try_emplace(from_peer(*s), 4).first->second.push_back({s->end(), e.at});
    return;
  }
  if (!s->has_ack) return;
  const auto it = waiting_[e.unit].find(to_peer(*s));
  if (it == waiting_[e.unit].end()) return;
  fifo<arrival>& w = it->second;
  while (!w.empty() && w.front().end.before_eq(s->ack)) samples_.push_back(e.at - w.pop_front().at);
}

ack_latency_times ack_latency::times() const {
  return {samples_.size(), percentile(samples_, 500), percentile(samples_, 990)};
}

}  // namespace understudy::tb
