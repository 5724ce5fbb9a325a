// libFuzzer target: any bytes as a frame. What parses as a segment can be built again and parses to the same.
#include <cstdlib>

#include "model/core/packet.h"

using namespace understudy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 9100) return 0;
  const frame_ref f = frame_ref::copy_of(data, static_cast<std::uint32_t>(size));
  const parsed_frame strict = parse_frame(f, true);
  const parsed_frame p = parse_frame(f, false);
  if (strict.kind != p.kind && strict.kind != frame_class::bad_checksum) std::abort();
  const bool bad = strict.kind == frame_class::bad_length || strict.kind == frame_class::bad_header ||
                   strict.kind == frame_class::bad_checksum || strict.kind == frame_class::other;
  if (bad != (cause_of_drop(f) != drop_cause::not_ours)) std::abort();
  if (p.kind == frame_class::icmp_echo_request) make_echo_reply(f, {2, 0, 0, 0, 0, 1}, p.target_ip);
  if (p.kind != frame_class::tcp) return 0;
  const segment& s = p.tcp;
  if (std::size_t{s.payload_offset} + s.payload_length > size) std::abort();
  frame_ref again = frame_ref::make(s.payload_length, 128);
  if (s.payload_length) std::memcpy(again.data(), f.data() + s.payload_offset, s.payload_length);
  segment mirrored = s;
  std::swap(mirrored.tuple.local, mirrored.tuple.remote);
  std::swap(mirrored.tuple.local_port, mirrored.tuple.remote_port);
  if (header_bytes(mirrored) > 94) return 0;  // more options than an own segment has
  prepend_headers(again, mirrored, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, 7);
  const parsed_frame q = parse_frame(again, true);
  if (q.kind != frame_class::tcp || q.tcp.tuple != s.tuple || q.tcp.seq != s.seq || q.tcp.ack != s.ack ||
      q.tcp.flags != s.flags || q.tcp.window != s.window || q.tcp.payload_length != s.payload_length)
    std::abort();
  return 0;
}
