#include "tb/workload/reassembly.h"

#include <algorithm>
#include <utility>

namespace understudy::tb {

void half_stream::start_at(seq32 first) {
  started_ = true;
  first_ = first;
}

// Relative to the stream's start, without wrap: the number nearest to the end of the contiguous bytes.
std::int64_t half_stream::offset_of(seq32 seq) const {
  const seq32 expected = first_ + static_cast<std::uint32_t>(bytes_.size());
  return static_cast<std::int64_t>(bytes_.size()) + static_cast<std::int32_t>(seq.minus(expected));
}

std::uint64_t half_stream::take(seq32 seq, std::span<const std::uint8_t> bytes, std::uint64_t length) {
  std::int64_t offset = offset_of(seq);
  const std::int64_t end = offset + static_cast<std::int64_t>(length);
  if (end > 0) furthest_ = std::max(furthest_, static_cast<std::uint64_t>(end));
  // Keep-alive probes and retransmissions lie before the expected byte, wholly or in part.
  const auto had = static_cast<std::int64_t>(bytes_.size());
  if (offset < had) {
    const auto old = static_cast<std::uint64_t>(had - offset);
    if (old >= bytes.size()) return 0;
    bytes = bytes.subspan(old);
    offset = had;
  }
  if (bytes.empty()) return 0;
  const auto place = static_cast<std::uint64_t>(offset);
  if (place > bytes_.size()) {
    auto& held = waiting_[place];
    if (held.size() < bytes.size())
      held.insert(held.end(), bytes.begin() + static_cast<std::ptrdiff_t>(held.size()), bytes.end());
    return 0;
  }
  // Bytes that were seen earlier beyond the hole win over later copies.
  while (!bytes.empty()) {
    const auto next = waiting_.begin();
    const std::uint64_t room = next == waiting_.end() ? bytes.size() : next->first - bytes_.size();
    const std::uint64_t fresh = std::min<std::uint64_t>(room, bytes.size());
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(fresh));
    bytes = bytes.subspan(fresh);
    std::uint64_t skip = 0;
    while (!waiting_.empty() && waiting_.begin()->first <= bytes_.size()) {
      const auto& held = *waiting_.begin();
      const std::uint64_t known = bytes_.size() - held.first;
      if (held.second.size() > known) {
        bytes_.insert(bytes_.end(), held.second.begin() + static_cast<std::ptrdiff_t>(known),
                      held.second.end());
        skip += held.second.size() - known;
      }
      waiting_.erase(waiting_.begin());
    }
    bytes = bytes.subspan(std::min<std::uint64_t>(skip, bytes.size()));
  }
  return bytes_.size() - static_cast<std::uint64_t>(had);
}

void half_stream::take_fin(seq32 seq) {
  if (saw_fin_) return;
  const std::int64_t offset = offset_of(seq);
  if (offset < 0) return;
  saw_fin_ = true;
  fin_at_ = static_cast<std::uint64_t>(offset);
  furthest_ = std::max(furthest_, fin_at_);
}

// True if `s` is a SYN that does not belong to connection `c`, whose direction it would be `d`: the ports are
// used again.
bool flow_table::is_another(const connection& c, const captured_segment& s, flow_direction d) {
  if (!s.syn) return false;
  const std::size_t i = index_of(d);
  const seq32 after = s.seq + 1;
  if (c.syn[i]) return c.after_syn[i] != after;
  if (c.halves[i].started()) return c.halves[i].first() != after;
  // Nothing of this direction was seen. The other side's SYN may have come first in the capture; data or an
  // end may not.
  const std::size_t o = index_of(opposite(d));
  return !s.has_ack && (c.halves[o].size() > 0 || c.halves[o].saw_fin() || c.made.had_rst) && !c.syn[o];
}

flow_table::connection& flow_table::open(const captured_segment& s, picos at) {
  const end_key from{s.from, s.from_port};
  const end_key to{s.to, s.to_port};
  const bool from_client = s.syn ? !s.has_ack : from.port >= to.port;
  auto c = std::make_unique<connection>();
  c->client = from_client ? from : to;
  c->server = from_client ? to : from;
  c->made.start = at;
  c->made.client = {text_of(c->client.address), c->client.port};
  c->made.server = {text_of(c->server.address), c->server.port};
  c->last_byte = at;
  connections_.push_back(std::move(c));
  return *connections_.back();
}

void flow_table::add_bytes(connection& c, flow_direction d, std::uint64_t count, picos at) {
  auto& turns = c.made.turns;
  const picos gap = at - c.last_byte;
  if (turns.empty() || turns.back().from != d || c.split || gap >= turn_pause) {
    turns.push_back({d, c.halves[index_of(d)].size() - count, 0, at - c.made.start, gap});
    c.split = false;
  }
  turns.back().length += count;
  c.last_byte = at;
}

void flow_table::note_fin(connection& c, flow_direction d) {
  if (c.made.closing.has_first) return;
  c.made.closing = {true, d, c.made.turns.size()};
  c.split = true;
}

void flow_table::take(const captured_segment& s, picos at) {
  const end_key from{s.from, s.from_port};
  const end_key to{s.to, s.to_port};
  connection*& current = current_[std::minmax(from, to)];
  const auto direction_in = [&](const connection& c) {
    return from == c.client ? flow_direction::client_to_server : flow_direction::server_to_client;
  };
  if (!current || is_another(*current, s, direction_in(*current))) current = &open(s, at);
  connection& c = *current;
  const flow_direction d = direction_in(c);
  const std::size_t i = index_of(d);
  half_stream& half = c.halves[i];

  c.made.was_ipv6 |= s.ipv6;
  c.made.had_vlan |= s.vlan;
  c.made.had_rst |= s.rst;
  if (s.rst) return;  // its payload, if any, is a message to people (RFC 9293 3.10.7)
  seq32 seq = s.seq;
  if (s.syn) {
    seq += 1;
    c.made.had_syn = true;
    c.syn[i] = true;
    c.after_syn[i] = seq;
    if (!half.started()) half.start_at(seq);
  }
  if (s.payload_length > 0) {
    if (!half.started()) half.start_at(seq);
    if (const std::uint64_t fresh = half.take(seq, s.payload, s.payload_length)) add_bytes(c, d, fresh, at);
  }
  if (s.fin) {
    const seq32 end = seq + static_cast<std::uint32_t>(s.payload_length);
    if (!half.started()) half.start_at(end);
    half.take_fin(end);
    c.made.had_fin = true;
  }
  if (half.ended()) note_fin(c, d);
}

flow_table::result flow_table::finish() {
  result r;
  for (const auto& c : connections_) {
    auto& halves = c->halves;
    c->made.was_cut = halves[0].has_hole() || halves[1].has_hole();
    if (c->made.turns.empty()) {
      ++(c->made.was_cut ? r.skipped_cut : r.skipped_no_payload);
      continue;
    }
    for (std::size_t i : {0u, 1u})
      if (halves[i].saw_fin()) note_fin(*c, static_cast<flow_direction>(i));
    for (std::size_t i : {0u, 1u}) c->made.streams[i] = byte_stream(halves[i].release());
    r.flows.push_back(std::move(c->made));
  }
  connections_.clear();
  current_.clear();
  return r;
}

}  // namespace understudy::tb
