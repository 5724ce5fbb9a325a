// From the MAC to host memory, and what the engine reports on the way.
#include <algorithm>
#include <utility>

#include "model/adapter/adapter.h"
#include "model/core/checksum.h"
#include "model/core/tcp_connection.h"
#include "model/core/vlan.h"

namespace understudy {

picos adapter::take(frame_ref f) {
  const picos now = now_ps();
  if (dead_) return now;
  if (!(control_ & US_CONTROL_RX_ENABLE)) {
    ++counters_.dropped_blocked;
    return now;
  }
  ++counters_.frames_in;
  if (rx_fifo_bytes_ + f.size() > config_.rx_fifo_bytes) {
    ++counters_.dropped_overflow;
    return now;
  }
  rx_fifo_bytes_ += f.size();
  const checksum_result sums = checksum_->check(f);
  counters_.checksum_cycles += sums.cycles;
  received& r = rx_fifo_.extend_back();
  r.frame = std::move(f);
  r.bad = !checksum_passes(sums);
  r.judged = sums.l4_checked;
  rx_pipe_free_ = std::max(now, rx_pipe_free_) + sums.cycles * config_.clock_period;
  agenda_.at(rx_pipe_free_ + config_.rx_latency, [this] { identify(); });
  return now;
}

// The next frame has passed the pipeline: what it is, and when its connection is found. Accesses to memory
// overlap; frames stay in order.
void adapter::identify() {
  received& r = rx_fifo_[rx_at_engine_++];
  const picos now = now_ps();
  r.ready_at = now;
  if (!r.bad) {
    r.parsed = parse_frame(r.frame, !r.judged);
    r.to = addressee(r.parsed);
    if (r.parsed.kind == frame_class::tcp && r.to) {
      const four_tuple& t = r.parsed.tcp.tuple;
      const std::uint64_t key = engine_->key_of(t);
      const cid c = engine_->find(t, key);
      r.ready_at = lookup_.look_up(now, key, c.valid() ? c.index() : connection_lookup::unknown);
    }
  }
  rx_ready_ = r.ready_at = std::max(rx_ready_, r.ready_at);
  if (r.ready_at > now) {
    agenda_.at(r.ready_at, [this] { drain_receive(); });
  } else {
    drain_receive();
  }
}

// Give the engine what has passed the pipeline, unless the bus is too far behind: then frames wait, and at
// last overflow.
void adapter::drain_receive() {
  while (rx_at_engine_ && !rx_stalled_ && !dead_ && rx_fifo_.front().ready_at <= now_ps()) {
    if (dma.queued_write_bytes() >= config_.dma_backlog_bytes) {
      rx_stalled_ = true;
      dma.when_below(config_.dma_backlog_bytes / 2, [this] {
        rx_stalled_ = false;
        drain_receive();
      });
      return;
    }
    const received r = rx_fifo_.pop_front();
    --rx_at_engine_;
    rx_fifo_bytes_ -= r.frame.size();
    process(r);
  }
}

// It is known where `s` is: what waits for it leaves.
void adapter::heard_station(const neighbours::station& s, const mac_address& mac) {
  neighbours_.learn(s, mac);
  std::size_t others = 0;
  for (std::size_t i = 0; i < waiting_for_neighbour_.size(); ++i) {
    pending_frame& w = waiting_for_neighbour_[i];
    if (!(w.hop == s)) {
      std::swap(waiting_for_neighbour_[others++], w);
      continue;
    }
    std::copy(mac.begin(), mac.end(), w.frame.data());
    send_frame(std::move(w.frame));
  }
  while (waiting_for_neighbour_.size() > others) waiting_for_neighbour_.pop_back();
  if (waiting_kicks_.empty()) return;
  while (!waiting_kicks_.empty()) out_control_.push_back(waiting_kicks_.pop_front());
  start_transmit();
}

// A next hop was asked for, and its answer may queue behind all that the peers there have sent: a segment of
// an established connection tells, too. The answer has the last word.
void adapter::hear_of_next_hop(const parsed_frame& p, const local_address& to) {
  const neighbours::station hop = next_hop(to, p.tcp.tuple.remote);
  if (hop.ip.is_zero() || neighbours_.find(hop)) return;
  const cid c = engine_->find(p.tcp.tuple);
  if (c.valid() && engine_->fields(c).synchronized()) heard_station(hop, p.source_mac);
}

void adapter::process(const received& r) {
  const parsed_frame& p = r.parsed;
  const local_address* const to = r.to;
  if (r.bad || !to) {
    count_drop(r);
    return;
  }
  const auto heard = [this, &p](const ip_address& ip, const mac_address& mac) {
    heard_station({ip, p.vlan}, mac);
  };
  switch (p.kind) {
    case frame_class::arp_request:
      heard(p.sender_ip, p.station);
      send_frame(with_vlan_tag(make_arp_reply(to->mac, to->ip, p.source_mac, p.sender_ip), p.vlan));
      break;
    case frame_class::neighbor_solicitation:  // without an address of its own: somebody tests ours (RFC 4862)
      if (p.station != mac_address{} && !p.sender_ip.is_zero()) heard(p.sender_ip, p.station);
      send_frame(
          with_vlan_tag(make_neighbor_advertisement(to->mac, to->ip, p.source_mac, p.sender_ip), p.vlan));
      break;
    case frame_class::arp_reply:
      heard(p.sender_ip, p.station);
      break;
    case frame_class::neighbor_advertisement:
      if (p.station != mac_address{}) heard(p.sender_ip, p.station);
      break;
    case frame_class::icmp_echo_request:
      send_frame(with_vlan_tag(make_echo_reply(without_vlan_tag(r.frame), to->mac, to->ip), p.vlan));
      break;
    case frame_class::packet_too_big:  // from any router: its address says nothing
      engine_->on_packet_too_big(now_ps(), p.tcp.tuple, p.tcp.seq, p.mtu);
      after_engine();
      break;
    default: {
      if (!waiting_kicks_.empty() || !waiting_for_neighbour_.empty()) hear_of_next_hop(p, *to);
      const auto addr_index = static_cast<std::uint8_t>(to - addresses_);
      arriving_dscp_ = p.dscp;
      const bool again = engine_->on_segment(now_ps(), p.tcp, r.frame, addr_index);
      after_engine();
      if (again && !dead_) {
        engine_->on_segment(now_ps(), p.tcp, r.frame, addr_index);
        after_engine();
      }
    }
  }
}

void adapter::count_drop(const received& r) {
  drop_cause cause = cause_of_drop(r.frame);
  // Only the checksum block knows UDP, and what is behind two tags. It says of a header that it is bad, not
  // whether by its sum.
  if (r.bad && !is_bad(cause)) cause = r.judged ? drop_cause::l4_checksum : drop_cause::header;
  ++counters_.dropped[cause];
}

// Whom a frame is for; null: not for us.
const adapter::local_address* adapter::addressee(const parsed_frame& p) const {
  const local_address* to = nullptr;
  bool may_be_to_all = false;
  switch (p.kind) {
    case frame_class::tcp:
    case frame_class::packet_too_big:
      to = address_of(p.tcp.tuple.local);
      if (to && is_broadcast_of(p.tcp.tuple.remote, to->ip, to->prefix_len)) to = nullptr;  // MUST-63
      break;
    case frame_class::arp_request:
    case frame_class::neighbor_solicitation:
      may_be_to_all = true;
      to = address_of(p.target_ip);
      break;
    case frame_class::arp_reply:
    case frame_class::icmp_echo_request:
      to = address_of(p.target_ip);
      break;
    case frame_class::neighbor_advertisement:
      may_be_to_all = true;
      to = address_heard_as(p.destination_mac, p.vlan);
      break;
    default:
      break;
  }
  const bool ours = to && to->vlan == p.vlan && (p.destination_mac == to->mac || may_be_to_all);
  return ours ? to : nullptr;
}

const adapter::local_address* adapter::address_of(const ip_address& ip) const {
  for (const local_address& a : addresses_)
    if (a.set && a.ip == ip) return &a;
  return nullptr;
}

// The address with that MAC, or any if it is a group's.
const adapter::local_address* adapter::address_heard_as(const mac_address& mac, std::uint16_t vlan) const {
  for (const local_address& a : addresses_)
    if (a.set && a.vlan == vlan && (a.mac == mac || mac[0] & 1)) return &a;
  return nullptr;
}

us_record adapter::stream_record(cid c, const tcp_view& v, us_record_type type) const {
  us_record r{};
  r.type = type;
  r.cid = c.raw;
  r.rcv_nxt = v.rcv_committed.raw;
  r.snd_una = v.hard.snd_una.raw;
  r.snd_wnd = v.snd_wnd;
  r.rcv_adv = v.hard.rcv_adv.raw;
  // What a DMA read may still touch is not given back to the host, acknowledged or not (I-DMA-1).
  const connection_buffers& b = connections_[c.index()];
  if (b.generation == c.generation() && b.reads && b.read_floor.before(v.hard.snd_una))
    r.snd_una = b.read_floor.raw;
  return r;
}

// The deliberate fault cross_connection: `b` and another connection exchange the buffers that they fill next.
void adapter::mix_up_buffers(connection_buffers& b) {
  receive_buffer& mine = receive_store_.front(b.rx);
  for (connection_buffers& other : connections_) {
    if (&other == &b || other.rx.empty()) continue;
    receive_buffer& theirs = receive_store_.front(other.rx);
    if (mine.used || theirs.used || mine.base_off != theirs.base_off || mine.length != theirs.length)
      continue;
    std::swap(mine, theirs);
    return;
  }
}

void adapter::changed(cid c, change what, us_status status) {
  if (dead_) return;
  const tcp_view v = engine_->view(c);
  connection_buffers& b = buffers(c);
  const auto step = [&](us_record_type type) {
    log(event_kind::engine_step, c.raw, std::uint64_t{type} << 32 | v.hard.snd_una.raw);
  };
  switch (what) {
    case change::embryo:
      step(US_REC_EMBRYO);
      begin_connection(c, v);
      break;
    case change::established:
      step(US_REC_ESTABLISHED);
      announce_connection(c, v);
      break;
    case change::acked:
      while (!b.tx.empty()) {
        const send_range& s = send_store_.front(b.tx);
        if ((s.begin + s.length).after(v.hard.snd_una)) break;
        drop_sent(b);
      }
      note_acked(c);
      break;
    case change::time_wait:
      step(US_REC_TIME_WAIT);
      output_.push(stream_record(c, v, US_REC_TIME_WAIT), false);
      break;
    case change::aborted:
    case change::closed: {
      hand_over_all(c);
      lookup_.forget(now_ps(), engine_->key_of(v.hard.tuple));
      const us_record_type type = what == change::closed ? US_REC_CLOSED : US_REC_ABORTED;
      us_record r = stream_record(c, v, type);
      r.u.end.status = status;
      step(type);
      const bool quiet = announcer_.gathers() && !b.opened && v.hard.conn & US_CONN_PASSIVE;
      const bool to_be_told = withdraw_connection(c, v);
      if (to_be_told && b.reads) {
        ended_.push_back({c, r});
      } else if (to_be_told) {
        output_.push(r, false, quiet);
      }
      receive_store_.clear(b.rx);
      receive_store_.clear(b.direct);
      while (!b.tx.empty()) drop_sent(b);
      b.acked_dirty = false;
      break;
    }
  }
}

void adapter::write_wild_records() {
  if (dead_ || !output_.configured()) return;
  us_record refusal{};
  refusal.type = US_REC_REFUSED;
  refusal.cid = US_NO_CID;
  refusal.u.end.status = US_ERR_BAD_LENGTH;
  refusal.u.end.index = idt_head_ - 1 + (1u << 24);  // a multiple of every table's size ahead
  output_.push(refusal, false);
  for (std::uint32_t i = 0; i < connections_.size(); ++i) {
    const connection_buffers& b = connections_[i];
    const cid c{i, b.generation};
    if (b.rx.empty() || !engine_->known(c)) continue;
    const receive_buffer& to = receive_store_.front(b.rx);
    us_record r = stream_record(c, engine_->view(c), US_REC_DATA);
    r.u.data.buf_id = to.id.raw;
    r.u.data.off = to.base_off + to.used;
    r.u.data.len = 1u << 28;
    r.rcv_nxt += r.u.data.len;
    output_.push(r, false);
    return;
  }
}

void adapter::note_acked(cid c) {
  connection_buffers& b = buffers(c);
  if (!b.acked_dirty) {
    b.acked_dirty = true;
    acked_.push_back(c);
  }
  if (!acked_scheduled_) {
    acked_scheduled_ = true;
    agenda_.in(config_.acked_record_age, [this] { record_acked(); });
  }
}

// A DMA read of the connection's send ranges has ended: with the last, the host may hear what was held back
// for it.
void adapter::read_done(cid c) {
  connection_buffers& b = connections_[c.index()];
  if (b.generation != c.generation() || --b.reads) return;
  if (engine_->known(c)) {
    if (b.read_floor.before(engine_->view(c).hard.snd_una)) note_acked(c);
    return;
  }
  for (std::size_t i = 0; i < ended_.size(); ++i) {
    if (ended_[i].c != c) continue;
    us_record r = ended_[i].record;
    ended_.erase(ended_.begin() + static_cast<std::ptrdiff_t>(i));
    output_.push(r, false);
    return;
  }
}

// Send progress of every connection that has some which no other record carried.
void adapter::record_acked() {
  acked_scheduled_ = false;
  for (const cid c : acked_) {
    connection_buffers& b = connections_[c.index()];
    if (b.generation != c.generation() || !b.acked_dirty || !engine_->known(c)) continue;
    b.acked_dirty = false;
    output_.push(stream_record(c, engine_->view(c), US_REC_ACKED), false);
  }
  acked_.clear();
}

void adapter::committed(cid c, seq32 rcv_nxt) {
  if (!engine_->known(c)) return;
  if (!log(event_kind::engine_step, c.raw, committed_step << 32 | rcv_nxt.raw)) return;
  engine_->on_committed(now_ps(), c, rcv_nxt);
  after_engine();
}

}  // namespace understudy
