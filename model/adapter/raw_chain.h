// The pieces of a frame that the host has built, as its SEND_RAW descriptors bring them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "model/abi/ids.h"
#include "model/abi/understudy_abi.h"
#include "model/core/frame.h"

namespace understudy {

struct raw_piece {
  iova at;
  std::uint32_t length = 0;
  std::uint32_t offset = 0;  // in its frame
};

struct raw_chain {
  raw_piece pieces[US_RAW_PIECES];
  unsigned count = 0;  // of descriptors, of which only so many are kept

  void add(const us_idt_entry& e) {
    if (count < US_RAW_PIECES)
      pieces[count] = {iova{static_cast<std::uint64_t>(e.u.send.iova_hi) << 32 | e.u.send.iova_lo},
                       e.u.send.len, 0};
    ++count;
  }
  // The last piece is there: each is given its place in the frame. Bytes of that; 0: it cannot be sent, for
  // too many pieces, one without bytes, or a length outside of US_RAW_MIN_BYTES to US_RAW_MAX_BYTES.
  std::uint32_t lay_out() {
    if (count > US_RAW_PIECES) return 0;
    std::uint64_t bytes = 0;
    for (unsigned i = 0; i < count; ++i) {
      pieces[i].offset = static_cast<std::uint32_t>(bytes);
      bytes += pieces[i].length;
      if (pieces[i].length == 0 || bytes > US_RAW_MAX_BYTES) return 0;
    }
    return bytes < US_RAW_MIN_BYTES ? 0 : static_cast<std::uint32_t>(bytes);
  }
};

// Room for a frame of `bytes`; what is missing to the least size (IEEE 802.3 3.2.8, without FCS) is zero.
inline frame_ref room_for_raw(std::uint32_t bytes) {
  constexpr std::uint32_t min_frame = 60;
  frame_ref f = frame_ref::make(std::max(bytes, min_frame));
  if (bytes < min_frame) std::memset(f.data() + bytes, 0, min_frame - bytes);
  return f;
}

// A record about frames of `ring` (0: the input table; n: transmit queue n - 1) up to descriptor `index`.
inline us_record raw_report(std::uint8_t type, std::uint32_t ring, us_status status, std::uint32_t index) {
  us_record r{};
  r.type = type;
  r.cid = US_NO_CID;
  r.u.end.status = status;
  r.u.end.opcode = US_OP_SEND_RAW;
  r.u.end.index = index;
  r.u.end.ring = ring;
  return r;
}

}  // namespace understudy
