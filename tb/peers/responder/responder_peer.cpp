#include "tb/peers/responder/responder_peer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace understudy::tb {

namespace {
constexpr std::uint32_t headroom = 14 + 20 + 60;  // Ethernet, IPv4, TCP with every option
constexpr std::int8_t wscale = 7;
constexpr std::uint16_t window = 0xffff;
constexpr mac_address broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
}  // namespace

responder_peer::responder_peer(const sc_core::sc_module_name& name, const responder_config& config,
                               std::uint64_t seed)
    : sc_module(name), config_(config), iss_(seed, "peer/" + std::string(basename()) + "/iss") {}

std::uint32_t responder_peer::shift(const four_tuple& t) const {
  const auto it = opened_.find(key(t));
  return it == opened_.end() ? 0 : it->second;
}

void responder_peer::connect(const ip_address& remote, std::uint16_t port, std::uint16_t local_port) {
  segment s;
  s.tuple = {config_.ip, remote, local_port, port};
  s.seq = seq32{static_cast<std::uint32_t>(iss_.next() >> 32)};
  s.flags = tcp_syn;
  s.options.mss = config_.mss;
  s.options.wscale = wscale;
  s.options.has_ts = true;
  const auto to = neighbours_.find(remote.v4_value());
  if (to != neighbours_.end()) return send(s, {}, to->second);
  if (waiting_.empty()) put(make_arp_request(config_.mac, config_.ip, remote));
  waiting_.push_back(s);
}

picos responder_peer::take(frame_ref f) {
  const parsed_frame p = parse_frame(f, false);
  const ip_address& to = p.kind == frame_class::tcp ? p.tcp.tuple.local : p.target_ip;
  if (to != config_.ip || (p.destination_mac != config_.mac && p.destination_mac != broadcast))
    return now_ps();
  ++count_.frames_in;
  switch (p.kind) {
    case frame_class::arp_request:
      put(make_arp_reply(config_.mac, config_.ip, p.source_mac, p.sender_ip));
      break;
    case frame_class::arp_reply: {
      neighbours_[p.sender_ip.v4_value()] = p.source_mac;
      const auto known = std::stable_partition(
          waiting_.begin(), waiting_.end(), [&](const segment& s) { return s.tuple.remote != p.sender_ip; });
      std::for_each(known, waiting_.end(), [&](const segment& s) { send(s, {}, p.source_mac); });
      waiting_.erase(known, waiting_.end());
      break;
    }
    case frame_class::tcp:
      answer(p.tcp, f, p.source_mac);
      break;
    default:
      break;
  }
  return now_ps();
}

void responder_peer::answer(const segment& s, const frame_ref& f, const mac_address& to) {
  if (s.flags & tcp_rst) {
    ++count_.rst_received;
    return;
  }
  const bool has_ack = s.flags & tcp_ack;
  segment a;
  a.tuple = s.tuple;
  a.flags = tcp_ack;
  a.window = window;
  a.options.has_ts = s.options.has_ts;
  a.options.tsecr = s.options.tsval;
  if (s.flags & tcp_syn) {
    ++count_.opened;
    a.ack = s.seq + 1;
    if (has_ack) {  // of a SYN of ours
      opened_[key(s.tuple)] = s.ack.raw - 1 - s.seq.raw;
      a.seq = s.ack;
      return send(a, {}, to);
    }
    opened_.erase(key(s.tuple));
    a.seq = s.seq;
    a.flags |= tcp_syn;
    a.options.mss = config_.mss;
    a.options.wscale = s.options.wscale < 0 ? std::int8_t{-1} : wscale;
    return send(a, {}, to);
  }
  if (!has_ack) return;
  const seq32 mirrored = s.seq + shift(s.tuple);
  if (s.length() == 0) {
    if (!mirrored.before(s.ack)) return;
    ++count_.kicks;
    a.seq = s.ack;
    a.ack = s.seq + 1;
    return send(a, {}, to);
  }
  a.seq = mirrored;
  a.ack = s.seq + s.length();
  a.flags |= s.flags & (tcp_fin | tcp_psh);
  frame_ref payload = frame_ref::make(s.payload_length, headroom);
  if (s.payload_length) std::memcpy(payload.data(), f.data() + s.payload_offset, s.payload_length);
  count_.echoed_bytes += s.payload_length;
  send(a, std::move(payload), to);
}

void responder_peer::send(segment s, frame_ref payload, const mac_address& to) {
  s.options.tsval = static_cast<std::uint32_t>(now_ps() / 1_ms) + 1;
  s.payload_length = payload ? static_cast<std::uint32_t>(payload.size()) : 0;
  frame_ref f = payload ? std::move(payload) : frame_ref::make(0, headroom);
  prepend_headers(f, s, config_.mac, to, ip_id_++);
  put(std::move(f));
}

void responder_peer::put(frame_ref f) {
  ++count_.frames_out;
  queue_.push_back(std::move(f));
  pump();
}

void responder_peer::pump() {
  while (!pumping_ && !queue_.empty()) {
    if (now_ps() < free_at_) {
      pumping_ = true;
      agenda_.at(free_at_, [this] {
        pumping_ = false;
        pump();
      });
      return;
    }
    free_at_ = eth_.out->take(queue_.pop_front());
  }
}

}  // namespace understudy::tb
