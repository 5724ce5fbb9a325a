#include "model/net/eth_link.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace understudy {
namespace {

// What the wire does to a frame, in words for the capture.
class comment_text {
 public:
  explicit comment_text(const impairment_verdict& v) {
    if (v.lost) add("lost on the wire");
    if (v.flipped >= 0) {
      char bit[32];
      std::snprintf(bit, sizeof bit, "corrupted bit %d", v.flipped);
      add(bit);
    }
    if (v.duplicated) add("duplicated");
    if (v.held) add("held for reordering");
  }
  const char* c_str() const { return length_ ? text_ : nullptr; }

 private:
  void add(const char* what) {
    length_ += std::snprintf(text_ + length_, sizeof text_ - static_cast<std::size_t>(length_), "%s%s",
                             length_ ? ", " : "", what);
  }
  char text_[96];
  int length_ = 0;
};

constexpr eth_link::side other(eth_link::side s) {
  return s == eth_link::side_a ? eth_link::side_b : eth_link::side_a;
}

}  // namespace

eth_link::eth_link(const sc_core::sc_module_name& name, const eth_link_config& config, event_log& log,
                   std::uint64_t seed)
    : sc_module(name),
      config_(config),
      log_(log),
      a("a_out", "a_in", entry_a_),
      b("b_out", "b_in", entry_b_),
      way_{way(config.ab, seed, std::string("wire/") + basename() + "/ab"),
           way(config.ba, seed, std::string("wire/") + basename() + "/ba")} {}

void eth_link::set_up(side s, bool up) {
  if (up_[s] == up) return;
  up_[s] = up;
  if (up) return;
  way_[s].cut_at = now_ps();
  way& towards = way_[other(s)];
  ++towards.epoch;
  towards.count.vanished += towards.held.size();
  for (const held_frame& h : towards.held) lose(h.f, frame_loss::carrier);
  towards.held.clear();
}

picos eth_link::offer(side from, frame_ref f) {
  way& w = way_[from];
  const picos now = now_ps();
  const picos start = std::max(now, w.busy_until);
  w.busy_until = start + wire_time(wire_bytes(f.size()), config_.rate);
  const picos free_at = w.busy_until;
  if (start == now)
    leave(from, std::move(f), start);
  else
    agenda_.at(start, [this, from, f = std::move(f), start]() mutable { leave(from, std::move(f), start); });
  return free_at;
}

void eth_link::leave(side from, frame_ref f, picos start) {
  way& w = way_[from];
  if (!up_[from] || !up_[other(from)]) {
    ++w.count.vanished;
    return lose(f, frame_loss::carrier);
  }
  const std::uint16_t unit = from == side_a ? config_.unit_a : config_.unit_b;
  if (unit != no_unit) log_.emit({event_kind::frame_out, unit, start, f.size(), 0, f.data(), f.size(), 0});
  const impairment_verdict v = w.dice.judge(f);
  if (sink_) sink_->frame(start, interface_, from == side_a, f, comment_text(v).c_str());
  ++w.count.sent;
  w.count.bytes += f.size();
  if (v.lost) {
    ++w.count.lost;
    return lose(f, frame_loss::wire);
  }
  if (v.flipped >= 0) {
    ++w.count.corrupted;
    lose(f, frame_loss::wire);
    f = flip_bit(f, v.flipped);
  }
  if (v.held) ++w.count.held;
  const picos wire = wire_time(wire_bytes(f.size()), config_.rate);
  const picos arrival = start + wire + config_.delay + v.delay;
  const flight how{start, w.epoch, v.held, w.count.sent};
  if (v.duplicated) {
    ++w.count.duplicated;
    agenda_.at(arrival, [this, from, f, how] { arrive(from, f, how); });
    agenda_.at(arrival + wire,
               [this, from, f, copy = flight{start, w.epoch, v.held, 0}] { arrive(from, f, copy); });
  } else {
    agenda_.at(arrival, [this, from, f = std::move(f), how] { arrive(from, f, how); });
  }
}

void eth_link::arrive(side from, const frame_ref& f, const flight& how) {
  way& w = way_[from];
  const bool cut =
      how.start <= w.cut_at && w.cut_at < how.start + wire_time(wire_bytes(f.size()), config_.rate);
  if (how.epoch != w.epoch || !up_[other(from)] || cut) {
    ++w.count.vanished;
    return lose(f, frame_loss::carrier);
  }
  if (how.held) {
    const std::uint64_t id = ++w.held_ids;
    w.held.push_back({f, id, how.number, reorder_gap});
    agenda_.in(w.dice.config().reorder_limit, [this, from, id] { release_held(from, id); });
    return;
  }
  for (held_frame& h : w.held) --h.to_pass;
  deliver(from, f, how.number);
  while (!w.held.empty() && w.held.front().to_pass == 0) release_held(from, w.held.front().id);
}

void eth_link::deliver(side from, const frame_ref& f, std::uint64_t number) {
  way& w = way_[from];
  ++w.count.delivered;
  w.count.overtaken += number && number < w.newest;
  w.newest = std::max(w.newest, number);
  const std::uint16_t unit = from == side_a ? config_.unit_b : config_.unit_a;
  if (unit != no_unit) log_.emit({event_kind::frame_in, unit, now_ps(), f.size(), 0, f.data(), f.size(), 0});
  (from == side_a ? b : a).out->take(f);
}

void eth_link::release_held(side from, std::uint64_t id) {
  std::vector<held_frame>& held = way_[from].held;
  const auto it = std::find_if(held.begin(), held.end(), [id](const held_frame& h) { return h.id == id; });
  if (it == held.end()) return;
  const held_frame h = std::move(*it);
  held.erase(it);
  deliver(from, h.f, h.number);
}

}  // namespace understudy
