// What a wire does to the frames of one direction, in the words of Linux's netem (tc-netem(8)).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "model/core/frame.h"
#include "model/core/rng.h"
#include "model/core/units.h"

namespace understudy {

// Probabilities are 0 to 1.
struct impairment_config {
  double loss = 0;          // independent losses
  bool gemodel = false;     // Gilbert-Elliott losses instead; a frame is judged by the state before its own
                            // transition, as netem does
  double ge_p = 0;          // good to bad
  double ge_r = 0;          // bad to good
  double ge_loss_bad = 1;   // 1-h: loss in the bad state
  double ge_loss_good = 0;  // 1-k: loss in the good state
  double duplicate = 0;     // a second copy follows the first
  double corrupt =
      0;  // one bit of an IPv4 or IPv6 packet flips; neighbour discovery and Ethernet headers are spared
  double corrupt_all = 0;  // one bit of the frame flips, whatever the frame is
  picos delay = 0;         // added to the propagation delay
  picos jitter = 0;  // the added delay is uniform in delay - jitter .. delay + jitter, never below 0; frames
                     // may overtake
  double reorder =
      0;  // with a delay: this share is not delayed; without: held back until reorder_gap frames have passed
  // The longest that a frame is held back for want of frames that overtake it; far below every retransmission
  // time-out.
  picos reorder_limit = 1_ms;
  bool operator==(const impairment_config&) const = default;
};
inline constexpr unsigned reorder_gap = 3;

// An error text that names the wrong word and what is allowed there.
struct impairment_error {
  std::string what;
};

// Read `loss 1% delay 5us 1us reorder 10%` and the like: clauses in any order, each at most once. Empty: no
// impairment.
//   loss P | loss gemodel P [R [1-H [1-K]]]   (as netem: R absent is 1-P, 1-H absent is 100 %, 1-K absent is
//   0 %) duplicate P   corrupt P   corrupt_all P   reorder P   delay T [JITTER]
// P: 0 to 100, percent, with or without the sign ("1%", "1 %", "0.1"). T: a number with s, ms, us, ns or ps;
// without a unit us. `seed` is refused: seeds come from the one tree.
std::variant<impairment_config, impairment_error> parse_impairment(std::string_view text);

// What happens to one frame.
struct impairment_verdict {
  bool lost = false;
  bool duplicated = false;
  bool held = false;          // held back for reordering
  std::int32_t flipped = -1;  // bit of the frame that flips, bit 0 being the lowest bit of byte 0; -1: none
  picos delay = 0;            // added
  bool any() const { return lost || duplicated || held || flipped >= 0; }
};

// The dice of one direction. Each kind of impairment draws from a stream of its own under `path`, so that
// switching one on does not shift another.
class impairment {
 public:
  impairment(const impairment_config& config, std::uint64_t seed, const std::string& path);
  impairment_verdict judge(const frame_ref& f);
  const impairment_config& config() const { return config_; }

 private:
  bool draw_loss();
  picos draw_delay(bool& held);
  impairment_config config_;
  rng loss_, duplicate_, corrupt_, corrupt_all_, delay_, reorder_;
  bool bad_ = false;  // the Gilbert-Elliott state
};

// A copy of `f` with one bit flipped: frames are shared, the original stays.
frame_ref flip_bit(const frame_ref& f, std::int32_t bit);

// First byte and length of the part of a frame that `corrupt` may touch; length 0: spared.
struct byte_range {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};
byte_range corruptible(const frame_ref& f);

}  // namespace understudy
