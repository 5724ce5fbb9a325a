// Frames of a capture, at their times: a far end that speaks and does not listen.
#pragma once
#include <string>

#include "tb/live/far_end.h"
#include "tb/workload/capture_file.h"

namespace understudy::tb {

// The first frame enters the wire when the run begins, every other one as long after it as in the capture.
class capture_player : public far_end {
 public:
  // Simulated time that the adapters have for their answers to the last frame.
  static constexpr picos rest = 1'000'000'000'000;

  // Throws scenario_error: not a capture, or not one of Ethernet frames.
  explicit capture_player(const std::string& path);

  void start(picos now) override { begin_ = now; }
  void before_wait(std::vector<pollfd>&, wall_nanos&) override {}
  picos next() const override { return frame_ ? begin_ + at_ : never; }
  arrival read(picos horizon) override;
  void write(const frame_ref& f) override { sent_out(f); }
  std::string gone() const override { return damage_; }
  bool finished(picos now) const override { return !frame_ && now >= begin_ + at_ + rest; }
  std::string describe() const override;
  const char* peer() const override { return "capture"; }

 private:
  void fetch();

  std::string path_;
  pcap_handle file_;
  std::int64_t first_ns_ = -1;
  picos begin_ = 0;
  frame_ref frame_;  // the next one; empty: there is none
  picos at_ = 0;     // of it, or of the last one, after the first
  std::string damage_;
};

}  // namespace understudy::tb
