// Joins consecutive segments of one connection into one large packet, as a receiver's GRO does, in the form
// in which a TAP device with IFF_VNET_HDR takes it: struct virtio_net_hdr and frame (virtio 1.2, 5.1.6;
// Linux, Documentation/networking/tuntap.rst). Cut at gso_size it is the same segments again, but for the
// identification of IPv4, which counts on from the first one's.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace understudy::tb {

// struct virtio_net_hdr in the processor's byte order (5.1.6; linux/virtio_net.h is no C++).
struct vnet_header {
  static constexpr std::uint8_t needs_csum = 1, gso_tcpv4 = 1, gso_tcpv6 = 4;
  std::uint8_t flags = 0, gso_type = 0;
  std::uint16_t hdr_len = 0, gso_size = 0, csum_start = 0, csum_offset = 0;
};
static_assert(sizeof(vnet_header) == 10);

class segment_merger {
 public:
  static constexpr unsigned most_segments = 64;
  static constexpr std::uint32_t ip_limit = 65535;  // the length of a unit's IP packet stays below

  segment_merger();
  // The next frame, of at least an Ethernet header and less than ip_limit. False: it does not continue the
  // pending unit, which has to go first; then, and if nothing is pending, a frame is always taken.
  bool add(std::span<const std::uint8_t> frame);
  // Frames in the pending unit, and their bytes.
  unsigned frames() const { return frames_; }
  std::uint64_t frame_bytes() const { return frame_bytes_; }
  // Nothing can continue the pending unit: to wait would gain nothing.
  bool complete() const { return frames_ && !open_; }
  // The pending unit as the device takes it, until the next add(); then nothing is pending. A single frame is
  // as it came, behind a header of zeros.
  std::span<const std::uint8_t> take();

 private:
  static constexpr std::uint32_t header_bytes = sizeof(vnet_header);

  void begin(std::span<const std::uint8_t> frame);
  // Whether the headers of `frame` are the unit's, but for what numbers a segment.
  bool same_stream(const std::uint8_t* frame) const;
  void seal();

  std::vector<std::uint8_t> buffer_;  // never grows
  std::uint32_t size_ = 0;            // of the pending unit's frame
  unsigned frames_ = 0;
  std::uint64_t frame_bytes_ = 0;
  bool open_ = false;  // one more segment may follow
  // Of an open or merged unit: where its headers end, from the frame's beginning, and its first payload.
  std::uint32_t ip_ = 0, tcp_ = 0, payload_ = 0, gso_size_ = 0;
};

}  // namespace understudy::tb
