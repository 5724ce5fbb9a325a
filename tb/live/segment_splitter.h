// Cuts what a TAP device hands over for a NIC to cut, and completes checksums, as a NIC does that offloads
// segmentation: struct virtio_net_hdr and frame (virtio 1.2, 5.1.6.2; Linux,
// Documentation/networking/segmentation-offloads.rst).
#pragma once
#include <cstdint>
#include <span>

#include "model/core/frame.h"
#include "tb/live/segment_merger.h"

namespace understudy::tb {

class segment_splitter {
 public:
  // A frame as the device gives it, with what its header says; nothing is left of the one before. False: the
  // two do not fit each other, or a frame for the wire would be shorter than an Ethernet header or longer
  // than frame_ref::max_bytes; there is nothing to send then. The bytes are read by next(), and stay until
  // more() is false.
  bool take(const vnet_header& h, std::span<const std::uint8_t> frame);
  // There is a frame for the wire.
  bool more() const { return at_ < frame_.size(); }
  // The next one; only if more(). Segments have the headers of the whole, but for lengths, checksums,
  // sequence number and IPv4's identification, which counts on; FIN and PSH only in the last, CWR only in
  // the first (RFC 3168 6.1.2).
  frame_ref next();

 private:
  // Where the headers of a frame to cut lie, `h` as its vnet_header; false: it cannot be cut.
  bool lay_out(const vnet_header& h, std::span<const std::uint8_t> frame);
  frame_ref whole();

  std::span<const std::uint8_t> frame_;
  std::size_t at_ = 0;          // bytes from here on have not gone
  std::uint32_t gso_size_ = 0;  // most payload of a segment; 0: the frame goes whole
  std::uint32_t index_ = 0;     // of the next segment
  // Of a frame to cut, from its beginning; of one that goes whole, tcp_ is where the sum of an incomplete
  // checksum begins and field_ where it belongs, 0: it is complete.
  std::uint32_t ip_ = 0, tcp_ = 0, payload_ = 0, field_ = 0;
  std::uint32_t pseudo_ = 0;  // sum of the pseudo-header without the length of TCP
};

}  // namespace understudy::tb
