// From the engine's wish to the MAC: fetch payload, fill in the header at the last moment, find the
// neighbour.
#include <algorithm>
#include <cstring>

#include "model/adapter/adapter.h"
#include "model/core/vlan.h"

namespace understudy {

namespace {
constexpr std::uint32_t headroom = 18 + 40 + 60;  // Ethernet with a tag, IPv6, TCP with every option
constexpr std::size_t max_waiting_for_neighbour = 1024;
}  // namespace

adapter::out_slot& adapter::new_slot(std::uint32_t& index) {
  if (free_slots_.empty()) {
    index = static_cast<std::uint32_t>(slots_.size());
    slots_.push_back(std::make_unique<out_slot>());
  } else {
    index = free_slots_.back();
    free_slots_.pop_back();
  }
  out_slot& slot = *slots_[index];
  slot.failed = false;
  slot.reads = 0;
  slot.ready_at = now_ps() + config_.tx_latency;
  return slot;
}

void adapter::send(const send_request& r) {
  if (dead_) return;
  std::uint32_t index;
  out_slot& slot = new_slot(index);
  slot.request = r;
  slot.is_raw = false;
  if (r.length == 0) {
    (r.flags & tcp_fin ? out_data_ : out_control_).push_back(index);
    return;
  }
  slot.frame = frame_ref::make(r.length, headroom);
  out_data_.push_back(index);
  seq32 at = r.seq;
  std::uint32_t left = r.length;
  send_store_.each(buffers(r.connection).tx, [&](const send_range& s) {
    const seq32 end = s.begin + s.length;
    if (at.before(s.begin) || !at.before(end)) return true;
    const std::uint32_t n = std::min(left, end.minus(at));
    if (s.bytes) {
      std::memcpy(slot.frame.data() + (r.length - left), s.bytes.data() + at.minus(s.begin), n);
      at += n;
      left -= n;
      return left != 0;
    }
    ++slot.reads;
    connection_buffers& b = buffers(r.connection);
    if (b.reads++ == 0 || at.before(b.read_floor)) b.read_floor = at;
    dma.read(s.at + at.minus(s.begin), n, slot.frame.data() + (r.length - left), slot.frame,
             [this, index](bool ok) {
               out_slot& done = *slots_[index];
               done.failed = done.failed || !ok;
               read_done(done.request.connection);
               if (--done.reads == 0) {
                 done.ready_at = now_ps() + config_.tx_latency;
                 start_transmit();
               }
             });
    at += n;
    left -= n;
    return left != 0;
  });
  if (left) {
    SC_REPORT_ERROR("/understudy/adapter", "segment beyond what the host has posted (I-TX-4)");
    slot.failed = true;
  }
}

void adapter::send_raw(const segment& s) {
  std::uint32_t index;
  out_slot& slot = new_slot(index);
  slot.raw = s;
  slot.is_raw = true;
  out_control_.push_back(index);
}

void adapter::send_frame(frame_ref f) {
  out_frames_.push_back(std::move(f));
  start_transmit();
}

// Have transmit() run at the earliest instant at which something can leave.
void adapter::start_transmit() {
  if (dead_) return;
  picos earliest = never;
  if (!out_frames_.empty()) earliest = now_ps();
  if (!out_control_.empty()) earliest = std::min(earliest, slots_[out_control_.front()]->ready_at);
  if (!out_data_.empty() && slots_[out_data_.front()]->reads == 0)
    earliest = std::min(earliest, slots_[out_data_.front()]->ready_at);
  earliest = std::min(earliest, tx_queues_.next_ready());
  if (earliest == never) return;
  earliest = std::max({earliest, medium_free_, now_ps()});
  if (transmit_scheduled_ && transmit_at_ <= earliest) return;
  transmit_scheduled_ = true;
  transmit_at_ = earliest;
  agenda_.at(earliest, [this, earliest] {
    if (!transmit_scheduled_ || transmit_at_ != earliest) return;
    transmit_scheduled_ = false;
    transmit();
  });
}

// One frame: complete frames first, then segments without payload, then data in stream order and frames of
// transmit queues, in turn.
void adapter::transmit() {
  const picos now = now_ps();
  frame_ref f;
  while (!f) {
    if (!out_frames_.empty()) {
      f = out_frames_.pop_front();
      break;
    }
    fifo<std::uint32_t>* q = nullptr;
    const bool data = !out_data_.empty() && slots_[out_data_.front()]->reads == 0 &&
                      slots_[out_data_.front()]->ready_at <= now;
    if (!out_control_.empty() && slots_[out_control_.front()]->ready_at <= now) {
      q = &out_control_;
    } else if ((queues_turn_ || !data) && (f = tx_queues_.take(now))) {
      queues_turn_ = false;
      break;
    } else if (data) {
      q = &out_data_;
      queues_turn_ = true;
    }
    if (!q) break;
    const std::uint32_t index = q->pop_front();
    if (!dress(*slots_[index], f)) {
      waiting_kicks_.push_back(index);
      continue;
    }
    slots_[index]->frame = frame_ref{};
    free_slots_.push_back(index);
  }
  if (f) {
    ++counters_.frames_out;
    medium_free_ = ethernet.out->take(std::move(f));
  }
  after_engine();
}

// Zero: there is none.
neighbours::station adapter::next_hop(const local_address& from, const ip_address& to) {
  return {same_network(from.ip, to, from.prefix_len) ? to : from.gateway, from.vlan};
}

// Make the frame of a slot as the engine wants it at this instant. No frame: it is no longer wanted, cannot
// be addressed, or waits for its neighbour. False: the slot itself has to wait for that. A substitute knows
// no neighbour yet and kicks every connection at once, more than frames may wait; a kick is made anew
// instead.
bool adapter::dress(out_slot& slot, frame_ref& out) {
  if (slot.failed) return true;
  segment s = slot.raw;
  if (!slot.is_raw &&
      (!engine_->known(slot.request.connection) || !engine_->build_segment(now_ps(), slot.request, s)))
    return true;
  const local_address* from = address_of(s.tuple.local);
  if (!from) return true;
  frame_ref f =
      slot.is_raw || slot.request.length == 0 ? frame_ref::make(0, headroom) : std::move(slot.frame);
  if (config_.mutants.resend_other_bytes && slot.request.retransmission && f.size()) f.data()[0] ^= 0xff;
  const neighbours::station hop = next_hop(*from, s.tuple.remote);
  const mac_address* mac = neighbours_.find(hop);
  prepend_headers(f, s, from->mac, mac ? *mac : broadcast_mac, ip_id_++);
  f = with_vlan_tag(std::move(f), from->vlan);
  if (mac) {
    out = std::move(f);
    return true;
  }
  const bool kick = !slot.is_raw && slot.request.kick && slot.request.length == 0;
  if (hop.ip.is_zero()) {
    ++counters_.dropped_no_neighbour;
    return true;
  }
  if (!kick) {
    // The new one takes the place of the oldest (RFC 4861 7.2.2): those that wait for a station which never
    // answers keep nobody else from being asked for.
    if (waiting_for_neighbour_.size() >= max_waiting_for_neighbour) {
      ++counters_.dropped_no_neighbour;
      waiting_for_neighbour_.pop_front();
    }
    waiting_for_neighbour_.push_back({hop, std::move(f)});
  }
  ask_for(hop, *from, false);
  return !kick;
}

// Where is `hop`? The question or its answer may be lost: it is put again until it is known, as long as the
// address that asks is there.
void adapter::ask_for(const neighbours::station& hop, const local_address& from, bool again) {
  if (!neighbours_.may_ask(hop, now_ps(), again)) return;
  out_frames_.push_back(with_vlan_tag(hop.ip.is_v4() ? make_arp_request(from.mac, from.ip, hop.ip)
                                                     : make_neighbor_solicitation(from.mac, from.ip, hop.ip),
                                      from.vlan));
  agenda_.in(neighbours::request_interval, [this, hop, ip = from.ip] {
    const local_address* const now = address_of(ip);
    if (!now || now->vlan != hop.vlan || neighbours_.knows(hop)) return;
    ask_for(hop, *now, true);
    start_transmit();
  });
}

// The link learns where our addresses live now: gratuitous ARP (RFC 5227 3), unsolicited advertisements that
// override what neighbours know (RFC 4861 7.2.6). No duplicate address detection: the address was ours.
void adapter::announce_addresses() {
  for (const local_address& a : addresses_)
    if (a.set)
      out_frames_.push_back(with_vlan_tag(a.ip.is_v4() ? make_arp_request(a.mac, a.ip, a.ip)
                                                       : make_neighbor_advertisement(a.mac, a.ip, {}, {}),
                                          a.vlan));
  start_transmit();
}

}  // namespace understudy
