// The real end of the modelled wire.
#pragma once
#include <cstdint>
#include <string>

#include "model/core/frame.h"

namespace understudy::tb {

struct far_end_counters {
  std::uint64_t frames_in = 0;   // from the real network
  std::uint64_t frames_out = 0;  // to it
  std::uint64_t bytes_in = 0;    // of frames, without FCS
  std::uint64_t bytes_out = 0;
  std::uint64_t refused_in = 0;   // shorter than an Ethernet header or longer than frame_ref::max_bytes
  std::uint64_t refused_out = 0;  // the network did not take it
};

class far_end {
 public:
  virtual ~far_end() = default;
  // Readable when a frame waits.
  virtual int fd() const = 0;
  // The next frame; empty: none waits.
  virtual frame_ref read() = 0;
  virtual void write(const frame_ref& f) = 0;
  // Why nothing will come any more; empty: it is there.
  virtual std::string gone() const = 0;
  // One line for the summary.
  virtual std::string describe() const = 0;
  const far_end_counters& count() const { return count_; }

 protected:
  far_end_counters count_;
};

}  // namespace understudy::tb
