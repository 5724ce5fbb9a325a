#include "tb/platform/delivery_latency.h"

#include <cstring>

#include "tb/report/percentile.h"

namespace understudy::tb {

delivery_latency::delivery_latency(event_log& log, const host::any_driver& driver, unsigned adapters)
    : driver_(driver), waiting_(adapters) {
  log.subscribe(this, {event_kind::engine_step, event_kind::write_visible});
}

void delivery_latency::on_event(const event& e) {
  if (e.unit >= waiting_.size()) return;
  auto& waiting = waiting_[e.unit];
  if (e.kind == event_kind::engine_step) {
    const seq32 seq{static_cast<std::uint32_t>(e.b)};
    if (e.b >> 32 == US_REC_DATA) {
      waiting.try_emplace(static_cast<std::uint32_t>(e.a), 4).first->second.push_back({seq, e.at, e.at});
    } else if (e.b >> 32 == handed_over_step) {
      const auto it = waiting.find(static_cast<std::uint32_t>(e.a));
      if (it == waiting.end()) return;
      fifo<accepted>& w = it->second;
      for (std::size_t i = 0; i < w.size() && w[i].seq.before(seq); ++i) w[i].handed_over = e.at;
    }
    return;
  }
  if (e.kind != event_kind::write_visible || e.length % US_ENTRY_BYTES) return;
  const host::ring_facts r = driver_.rings(e.unit);
  if (e.a < r.odt_iova || e.a >= r.odt_iova + std::uint64_t{r.odt_entries} * US_ENTRY_BYTES) return;
  for (std::uint32_t n = 0; n < e.length; n += US_ENTRY_BYTES) {
    us_record record;
    std::memcpy(&record, e.data + n, sizeof record);
    if (record.type != US_REC_DATA) continue;
    const auto it = waiting.find(record.cid);
    if (it == waiting.end()) continue;
    while (!it->second.empty() && seq32{record.rcv_nxt}.after(it->second.front().seq)) {
      const accepted a = it->second.pop_front();
      samples_.push_back(e.at - a.at);
      commits_.push_back(e.at - a.handed_over);
    }
  }
}

namespace {
delivery_times times_of(const std::vector<picos>& samples) {
  return {percentile(samples, 500), percentile(samples, 990)};
}
}  // namespace

delivery_times delivery_latency::times() const {
  return times_of(samples_);
}

delivery_times delivery_latency::commit_times() const {
  return times_of(commits_);
}

}  // namespace understudy::tb
