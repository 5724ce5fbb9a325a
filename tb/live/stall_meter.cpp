#include "tb/live/stall_meter.h"

#include <algorithm>

#include "tb/report/percentile.h"

namespace understudy::tb {

void stall_meter::on_frame(const frame_ref& f, bool inward, picos at) {
  const auto s = read_segment(f.data(), f.size());
  if (!s) return;
  const wire_connection key = inward ? from_peer(*s) : to_peer(*s);
  if (s->rst) {
    connections_.erase(key);
    return;
  }
  if (inward) {
    const auto it = connections_.find(key);
    if (it == connections_.end()) return;
    connection& c = it->second;
    c.fin_in |= s->fin;
    if (s->syn || (c.fin_in && c.fin_out)) {
      connections_.erase(it);
      return;
    }
    if (s->end().after(c.heard)) {
      c.heard = s->end();
      if (!outstanding(c, sent)) c.ways[sent].open.clear();
    }
    if (s->has_ack && s->ack.after(c.acked)) c.acked = s->ack;
    return;
  }
  if (s->payload_length == 0 && !s->has_ack) return;
  const auto [it, begun] = connections_.try_emplace(key);
  connection& c = it->second;
  if (begun) c.acked = s->seq;
  if (s->has_ack && !c.ways[received].known) c.heard = s->ack;
  direction& out = c.ways[sent];
  if (out.known && s->seq.before(out.edge))
    for (silence& x : out.open)
      if (!x.until) x.until = out.edge + 1;
  advance(out, s->end(), at);
  if (s->has_ack) advance(c.ways[received], s->ack, at);
  c.fin_out |= s->fin;
  if (c.fin_in && c.fin_out) connections_.erase(key);
}

void stall_meter::advance(direction& d, seq32 edge, picos at) {
  if (!d.known) {
    d.known = true;
    d.edge = edge;
    return;
  }
  if (!edge.after(d.edge)) return;
  d.edge = edge;
  std::erase_if(d.open, [&](silence& s) {
    s.longest = std::max(s.longest, at - d.last);
    if (!s.until || edge.before(*s.until)) return false;
    stalls_[s.mark].push_back(s.longest);
    return true;
  });
  d.last = at;
}

bool stall_meter::outstanding(const connection& c, way w) {
  return w == sent ? c.ways[sent].edge.after(c.acked) : c.heard.after(c.ways[received].edge);
}

void stall_meter::mark(picos at) {
  for (auto& [key, c] : connections_)  // in any order: each by itself
    for (const way w : {received, sent}) {
      direction& d = c.ways[w];
      if (d.last == never || at - d.last > under_way || !outstanding(c, w)) continue;
      d.open.push_back({stalls_.size(), {}});
      if (w == received) d.open.back().until = c.heard;
    }
  stalls_.emplace_back();
}

stall_times stall_meter::stalls(std::size_t i) const {
  const std::vector<picos>& all = stalls_[i];
  return {percentile(all, 500), percentile(all, 990), percentile(all, 1000)};
}

}  // namespace understudy::tb
