#include "tb/live/segment_merger.h"

#include <algorithm>
#include <cstring>

#include "model/core/checksum.h"
#include "model/core/wire_bytes.h"
#include "tb/monitors/wire_segment.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t v4_header = 20, v6_header = 40;
constexpr std::uint8_t ack = 0x10, psh = 0x08;
constexpr std::uint8_t protocol = 6;
constexpr std::uint16_t checksum_offset = 16;  // in the TCP header

// Where the headers of a frame lie that may be part of a unit.
struct layout {
  std::uint32_t ip = 0, tcp = 0, payload = 0;
};
// Empty (payload 0): no whole segment of data with nothing but ACK, and PSH perhaps; or with options of IPv4,
// or bytes behind the packet. Looks at no checksum.
layout lay_out(std::span<const std::uint8_t> frame) {
  const auto segment = read_segment(frame.data(), static_cast<std::uint32_t>(frame.size()));
  if (!segment || segment->payload_length == 0) return {};
  layout l;
  l.payload = static_cast<std::uint32_t>(segment->payload - frame.data());
  if (l.payload + segment->payload_length != frame.size()) return {};
  l.ip = get16(frame.data() + 12) == 0x8100 ? 18 : 14;
  const bool six = frame[l.ip] >> 4 == 6;
  if (!six && frame[l.ip] != 0x45) return {};
  l.tcp = l.ip + (six ? v6_header : v4_header);
  const std::uint8_t* t = frame.data() + l.tcp;
  if ((t[12] & 0x0f) != 0 || (t[13] & ~psh) != ack) return {};
  return l;
}

}  // namespace

segment_merger::segment_merger() : buffer_(header_bytes + ip_limit + 18) {}

bool segment_merger::add(std::span<const std::uint8_t> frame) {
  if (frames_ == 0) {
    begin(frame);
    return true;
  }
  if (!open_) return false;
  const layout l = lay_out(frame);
  const std::uint32_t more = static_cast<std::uint32_t>(frame.size()) - l.payload;
  if (l.payload == 0 || l.ip != ip_ || l.tcp != tcp_ || l.payload != payload_ || more > gso_size_ ||
      size_ - ip_ + more >= ip_limit || !same_stream(frame.data()))
    return false;
  // What fails is the peer's to find. The first of a unit is judged when there is a second.
  std::uint8_t* unit = buffer_.data() + header_bytes;
  if ((frames_ == 1 && !checksums_hold(unit)) || !checksums_hold(frame.data())) return false;
  std::memcpy(unit + size_, frame.data() + l.payload, more);
  size_ += more;
  ++frames_;
  frame_bytes_ += frame.size();
  unit[tcp_ + 13] |= frame[tcp_ + 13];  // PSH is the last segment's
  open_ = more == gso_size_ && (frame[tcp_ + 13] & psh) == 0 && frames_ < most_segments;
  return true;
}

void segment_merger::begin(std::span<const std::uint8_t> frame) {
  std::memcpy(buffer_.data() + header_bytes, frame.data(), frame.size());
  size_ = static_cast<std::uint32_t>(frame.size());
  frames_ = 1;
  frame_bytes_ = frame.size();
  const layout l = lay_out(frame);
  ip_ = l.ip;
  tcp_ = l.tcp;
  payload_ = l.payload;
  gso_size_ = size_ - payload_;
  open_ = payload_ != 0 && (frame[tcp_ + 13] & psh) == 0;
}

bool segment_merger::same_stream(const std::uint8_t* frame) const {
  const std::uint8_t* unit = buffer_.data() + header_bytes;
  const auto same = [&](std::uint32_t from, std::uint32_t to) {
    return std::equal(unit + from, unit + to, frame + from);
  };
  // Ethernet addresses, tag and type; of IP all but length, identification and header checksum.
  if (!same(0, ip_)) return false;
  const bool six = tcp_ - ip_ == v6_header;
  if (six ? !same(ip_, ip_ + 4) || !same(ip_ + 6, tcp_)
          : !same(ip_, ip_ + 2) || !same(ip_ + 6, ip_ + 10) || !same(ip_ + 12, tcp_))
    return false;
  // Of TCP all but sequence number, PSH and checksum.
  const std::uint32_t next = get32(unit + tcp_ + 4) + (size_ - payload_);
  return get32(frame + tcp_ + 4) == next && same(tcp_, tcp_ + 4) && same(tcp_ + 8, tcp_ + 13) &&
         same(tcp_ + 14, tcp_ + checksum_offset) && same(tcp_ + checksum_offset + 2, payload_);
}

std::span<const std::uint8_t> segment_merger::take() {
  std::memset(buffer_.data(), 0, header_bytes);
  if (frames_ > 1) seal();
  frames_ = 0;
  frame_bytes_ = 0;
  open_ = false;
  return {buffer_.data(), header_bytes + size_};
}

// What the kernel is told of a unit: NEEDS_CSUM has it complete the checksum of TCP, whose field holds that
// of the pseudo-header, not complemented (5.1.6.2).
void segment_merger::seal() {
  std::uint8_t* unit = buffer_.data() + header_bytes;
  std::uint8_t* ip = unit + ip_;
  const std::uint32_t tcp_bytes = size_ - tcp_;
  const bool six = tcp_ - ip_ == v6_header;
  if (six) {
    put16(ip + 4, tcp_bytes);
  } else {
    put16(ip + 2, size_ - ip_);
    put16(ip + 10, 0);
    put16(ip + 10, checksum_finish(checksum_add({ip, v4_header})));
  }
  const std::uint64_t addresses = six ? checksum_add({ip + 8, 32}) : checksum_add({ip + 12, 8});
  put16(unit + tcp_ + checksum_offset, 0xffffu ^ checksum_finish(addresses + protocol + tcp_bytes));
  vnet_header h;
  h.flags = vnet_header::needs_csum;
  h.gso_type = six ? vnet_header::gso_tcpv6 : vnet_header::gso_tcpv4;
  h.hdr_len = static_cast<std::uint16_t>(payload_);
  h.gso_size = static_cast<std::uint16_t>(gso_size_);
  h.csum_start = static_cast<std::uint16_t>(tcp_);
  h.csum_offset = checksum_offset;
  std::memcpy(buffer_.data(), &h, sizeof h);
}

}  // namespace understudy::tb
